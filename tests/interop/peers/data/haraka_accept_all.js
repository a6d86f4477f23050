// Haraka plugin: takes mail for everybody and writes it to $DELIVERED as JSON, never relays.
'use strict';
const fs = require('fs');
const path = require('path');

exports.hook_rcpt = function (next, connection, params) {
  const user = params[0].user;
  if (user === 'reject5') return next(DENY, 'no such user');
  if (user === 'reject4') return next(DENYSOFT, 'try later');
  return next(OK);
};

// Both queues: an authenticated session is "relaying", and queue_outbound would try to deliver.
exports.hook_queue = exports.hook_queue_outbound = function (next, connection) {
  const transaction = connection.transaction;
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
