// nodemailer's smtp-server:  node smtp_server.js PLAIN-PORT TLS-PORT CERT KEY DELIVERED [lmtp]
// Each message received is written as a JSON file below DELIVERED.
'use strict';
const fs = require('fs');
const path = require('path');
const { SMTPServer } = require('smtp-server');

const [plainPort, tlsPort, cert, key, delivered, protocol] = process.argv.slice(2);
const lmtp = protocol === 'lmtp';
let serial = 0;

function refusal(code, text) {
  return Object.assign(new Error(text), { responseCode: code });
}

const options = {
  name: 'localhost',
  lmtp,
  key: fs.readFileSync(key),
  cert: fs.readFileSync(cert),
  disableReverseLookup: true,
  authMethods: ['PLAIN', 'LOGIN', 'XOAUTH2', 'CRAM-MD5'],
  authOptional: true,
  allowInsecureAuth: true,
  size: 10485760,
  useXClient: true,
  useXForward: true,
  hideENHANCEDSTATUSCODES: false,
  hideREQUIRETLS: false,
  hideDSN: false,
  closeTimeout: 500,
  onAuth(auth, session, callback) {
    const good = auth.method === 'CRAM-MD5'
      ? auth.username === 'user' && auth.validatePassword('pencil')
      : auth.method === 'XOAUTH2'
        ? auth.accessToken === 'token'
        : auth.username === 'user' && auth.password === 'pencil';
    if (good) return callback(null, { user: auth.username });
    if (auth.method === 'XOAUTH2') return callback(null, { data: { status: '401', schemes: 'bearer' } });
    return callback(new Error('bad credentials'));
  },
  onRcptTo(address, session, callback) {
    if (address.address.startsWith('reject5')) return callback(refusal(550, 'no such user'));
    if (address.address.startsWith('reject4')) return callback(refusal(450, 'try later'));
    return callback();
  },
  onData(stream, session, callback) {
    const chunks = [];
    stream.on('data', (chunk) => chunks.push(chunk));
    stream.on('end', () => {
      if (stream.sizeExceeded) return callback(refusal(552, 'too big'));
      const file = path.join(delivered, String(serial++).padStart(6, '0'));
      fs.writeFileSync(file + '.tmp', JSON.stringify({
        envelope: session.envelope,
        user: session.user,
        transmissionType: session.transmissionType,
        secure: session.secure,
        data: Buffer.concat(chunks).toString('base64'),
      }));
      fs.renameSync(file + '.tmp', file + '.json');
      if (!lmtp) return callback(null, 'OK queued');
      return callback(null, session.envelope.rcptTo.map((recipient) => (
        recipient.address.startsWith('late5') ? new Error('late failure') : 'OK')));
    });
  },
};

for (const [port, secure] of [[plainPort, false], [tlsPort, true]]) {
  const server = new SMTPServer({ ...options, secure });
  server.on('error', (error) => console.error(String(error)));
  server.listen(Number(port), '127.0.0.1');
}
