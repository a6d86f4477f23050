// Haraka plugin: takes mail for everybody. Mail for relay.test and lmtp.test goes on as $RELAY says in
// JSON, by Haraka's own queue; all other mail is written to $DELIVERED.
'use strict';
const fs = require('fs');
const path = require('path');

const relay = JSON.parse(process.env.RELAY);

exports.hook_get_mx = function (next, mail, domain) {
  const mx = { priority: 0, exchange: '127.0.0.1', port: relay.smtp };
  if (relay.mechanism) {
    Object.assign(mx, { auth_type: relay.mechanism, auth_user: relay.user, auth_pass: relay.password });
  }
  if (domain === 'lmtp.test') Object.assign(mx, { using_lmtp: true, port: relay.lmtp });
  return next(OK, mx);
};

exports.hook_rcpt = function (next, connection, params) {
  const user = params[0].user;
  if (user === 'reject5') return next(DENY, 'no such user');
  if (user === 'reject4') return next(DENYSOFT, 'try later');
  return next(OK);
};

// Both queues: an authenticated session is "relaying", and queue_outbound would try to deliver.
exports.hook_queue = exports.hook_queue_outbound = function (next, connection) {
  const transaction = connection.transaction;
  if (['relay.test', 'lmtp.test'].includes(transaction.rcpt_to[0].host)) {
    return this.haraka_require('outbound').send_trans_email(transaction, next);
  }
  const chunks = [];
  const stream = new (require('stream').Writable)({
    write(chunk, encoding, callback) {
      chunks.push(chunk);
      callback();
    },
  });
  stream.on('finish', () => {
    const file = path.join(process.env.DELIVERED, transaction.uuid);
    fs.writeFileSync(file + '.tmp', JSON.stringify({
      from: transaction.mail_from.address,
      to: transaction.rcpt_to.map((address) => address.address),
      data: Buffer.concat(chunks).toString('base64'),
    }));
    fs.renameSync(file + '.tmp', file + '.json');
    next(OK);
  });
  transaction.message_stream.pipe(stream, { line_endings: '\r\n' });
};
