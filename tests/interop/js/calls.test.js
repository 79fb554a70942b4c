// A call of @grpc/grpc-js through two sidecars is, byte for byte, the call made directly.
// DIRECT and THROUGH name the two ways to one and the same echo server (../server.py).
import assert from 'node:assert/strict';
import test, {after} from 'node:test';
import grpc from '@grpc/grpc-js';

const bytes = value => value;
const method = (name, requestStream, responseStream) => ({
  path: `/chapar.test.v1.EchoService/${name}`,
  requestStream,
  responseStream,
  requestSerialize: bytes,
  requestDeserialize: bytes,
  responseSerialize: bytes,
  responseDeserialize: bytes,
});
const Echo = grpc.makeGenericClientConstructor(
  {
    unary: method('Unary', false, false),
    clientStream: method('ClientStream', true, false),
    serverStream: method('ServerStream', false, true),
    bidiStream: method('BidiStream', true, true),
    unlisted: method('Unlisted', false, false),
  },
  'EchoService',
);
const options = {'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1};
const ways = Object.fromEntries(
  ['DIRECT', 'THROUGH'].map(way => [way, new Echo(process.env[way], grpc.credentials.createInsecure(), options)]),
);
after(() => Object.values(ways).forEach(client => client.close()));

const metadata = pairs => {
  const made = new grpc.Metadata();
  for (const [name, value] of pairs) made.add(name, value);
  return made;
};
// Without what the exchange adds, and without the date, which nobody sends twice alike.
const plain = told =>
  Object.entries(told?.toJSON() ?? {}).filter(([name]) => !name.startsWith('chapar-') && name !== 'date').sort();
const deadline = () => Date.now() + 60_000;

// Everything that a caller sees of a call.
const seen = (start, send = () => {}) =>
  new Promise(resolve => {
    const outcome = {answers: []};
    const end = {};
    const done = () => {
      if (end.status && end.over) resolve({...outcome, code: end.status.code, details: end.status.details, trailing: plain(end.status.metadata)});
    };
    const call = start((error, answer) => {
      if (!error) outcome.answers.push(answer.toString('base64'));
      end.over = true;
      done();
    });
    call.on('metadata', told => { outcome.initial = plain(told); });
    call.on('status', status => { end.status = status; done(); });
    if (call.on && call.read) {
      call.on('data', answer => outcome.answers.push(answer.toString('base64')));
      call.on('error', () => { end.over = true; done(); });
      call.on('end', () => { end.over = true; done(); });
    }
    send(call);
  });

const alike = async make => {
  const [direct, through] = [await make(ways.DIRECT), await make(ways.THROUGH)];
  assert.deepEqual(through, direct);
  return through;
};
const unary = (client, request, pairs = []) =>
  seen(callback => client.unary(request, metadata(pairs), {deadline: deadline()}, callback));

test('unary, with repeated and binary metadata', async () => {
  const pairs = [['ask-text', 'a'], ['ask-text', 'b'], ['ask-bin', Buffer.from([0, 255, 0])]];
  const outcome = await alike(client => unary(client, Buffer.from('name'), pairs));
  assert.equal(outcome.code, grpc.status.OK);
  assert.equal(outcome.answers.length, 1);
});

test('an empty message and a large one', async () => {
  await alike(client => unary(client, Buffer.alloc(0)));
  await alike(client => unary(client, Buffer.alloc(8 << 20, 7)));
  await alike(client => unary(client, Buffer.alloc(0), [['ask-bytes', String(8 << 20)]]));
});

test('client stream', async () => {
  const sizes = [0, 1, 5, 16_384, 100_000];
  await alike(client =>
    seen(
      callback => client.clientStream(metadata([]), {deadline: deadline()}, callback),
      call => { sizes.forEach(size => call.write(Buffer.alloc(size, 1))); call.end(); },
    ),
  );
});

test('server stream', async () => {
  const outcome = await alike(client =>
    seen(() => client.serverStream(Buffer.from('x'), metadata([['ask-count', '100']]), {deadline: deadline()})));
  assert.equal(outcome.answers.length, 100);
});

test('bidirectional stream', async () => {
  const outcome = await alike(client =>
    seen(
      () => client.bidiStream(metadata([]), {deadline: deadline()}),
      call => { for (let n = 0; n < 1_000; n += 1) call.write(Buffer.from(`message ${n}`)); call.end(); },
    ),
  );
  assert.equal(outcome.answers.length, 1_000);
});

test('a status with details', async () => {
  const outcome = await alike(client => unary(client, Buffer.from('x'), [['ask-status', 'NOT_FOUND']]));
  assert.equal(outcome.code, grpc.status.NOT_FOUND);
});

test('a deadline that passes', async () => {
  for (const client of Object.values(ways)) {
    const outcome = await seen(callback =>
      client.unary(Buffer.alloc(0), metadata([['ask-wait', '30']]), {deadline: Date.now() + 500}, callback));
    assert.equal(outcome.code, grpc.status.DEADLINE_EXCEEDED);
  }
});

test('a cancelled stream', async () => {
  for (const client of Object.values(ways)) {
    const outcome = await seen(
      () => client.serverStream(Buffer.from('x'), metadata([['ask-endless', '1']]), {deadline: deadline()}),
      call => call.once('data', () => call.cancel()),
    );
    assert.equal(outcome.code, grpc.status.CANCELLED);
  }
});

test('a refusal', async () => {
  const outcome = await seen(callback => ways.THROUGH.unlisted(Buffer.alloc(0), metadata([]), {deadline: deadline()}, callback));
  assert.equal(outcome.code, grpc.status.UNIMPLEMENTED);
  assert.match(outcome.details, /no approved passport/);
});
