// nodemailer as a peer: reads its order as JSON, sends, and prints the recipients refused.
'use strict';
const fs = require('fs');
const nodemailer = require('nodemailer');

const order = JSON.parse(fs.readFileSync(0, 'utf8'));
const options = {
  host: order.host,
  port: order.port,
  name: 'client.test',
  lmtp: order.protocol === 'lmtp',
  secure: order.tls === 'implicit',
  requireTLS: order.tls === 'starttls',
  ignoreTLS: order.tls === 'none',
  tls: { ca: fs.readFileSync(order.ca), servername: 'localhost' },
  connectionTimeout: 10000,
  logger: true,
  debug: true,
};
if (order.auth === 'XOAUTH2') {
  options.auth = { type: 'OAUTH2', user: order.user, accessToken: order.token };
} else if (order.auth) {
  options.authMethod = order.auth;
  options.auth = { user: order.user, pass: order.password };
}
const mail = {
  envelope: { from: order.sender, to: order.recipients },
  raw: Buffer.from(order.message, 'base64'),
};
if (order.switches.includes('dsn')) {
  mail.dsn = { id: 'm1', return: 'headers', notify: ['failure', 'delay'], recipient: 'o@example.test' };
}
const transport = nodemailer.createTransport(options);
transport.sendMail(mail, (error, information) => {
  transport.close();
  if (error) {
    console.log(error);
    process.exit(1);
  }
  const refused = (information.rejectedErrors || []).map((e) => [e.recipient, e.responseCode]);
  console.log(JSON.stringify(Object.fromEntries(refused)));
});
