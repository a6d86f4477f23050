// emailjs as a peer: reads its order as JSON and sends a message of its own making.
import fs from 'fs';
import { createRequire } from 'module';
import { pathToFileURL } from 'url';

const require = createRequire(process.env.PEER_MODULES + '/');
const { SMTPClient } = await import(pathToFileURL(require.resolve('emailjs')).href);
const order = JSON.parse(fs.readFileSync(0, 'utf8'));
const authority = { ca: fs.readFileSync(order.ca), servername: 'localhost' };
const options = {
  host: order.host,
  port: order.port,
  domain: 'client.test',
  timeout: 10000,
  tls: order.tls === 'starttls' ? authority : false,
  ssl: order.tls === 'implicit' ? authority : false,
};
if (order.auth) {
  options.user = order.user;
  options.password = order.auth === 'XOAUTH2' ? order.token : order.password;
  options.authentication = [order.auth];
}
const client = new SMTPClient(options);
try {
  const subject = /^Subject: (.*)\r$/m.exec(Buffer.from(order.message, 'base64').toString())[1];
  await client.sendAsync({ from: order.sender, to: order.recipients.join(', '), subject, text: subject });
  process.exit(0);
} catch (error) {
  console.log(error);
  process.exit(1);
}
