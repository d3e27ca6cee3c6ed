import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, it } from 'mocha';
import { createAuthorizer, type AuthTarget, type Credentials } from './auth.ts';
import type { Answer, Exchange, Http } from './http.ts';

const signal = new AbortController().signal;

function answer(status: number, body = '', headers: Readonly<Record<string, string>> = {}): Answer {
  return {
    status,
    header: (name) => headers[name],
    headers: (name) => (headers[name] === undefined ? [] : [headers[name]]),
    body: Readable.from([Buffer.from(body)]),
    discard: () => undefined,
  };
}

const target = (host: string, scope: string, plain = false): AuthTarget => ({
  host,
  plain,
  tls: undefined,
  scopes: [scope],
});

const bearer = (realm: string): Answer =>
  answer(401, '', { 'www-authenticate': `Bearer realm="${realm}",service="s"` });

describe('authorization', () => {
  /** A token service that counts, and credentials that are asked for. */
  function setUp(
    credentials: Credentials | undefined,
    respond = (count: number) => answer(200, `{"token":"t${count}"}`),
  ) {
    const sent: Exchange[] = [];
    const asked: string[] = [];
    const http: Http = {
      exchange(exchange) {
        sent.push(exchange);
        return Promise.resolve(respond(sent.length));
      },
      close: () => undefined,
    };
    const auth = createAuthorizer({
      http,
      credentials(host) {
        asked.push(host);
        return Promise.resolve(credentials);
      },
    });
    return { auth, sent, asked };
  }

  it('keeps tokens by host and scope', async () => {
    const { auth, sent } = setUp(undefined);
    const [a, b] = [target('a.example.com', 'repository:x:pull'), target('b.example.com', 'repository:x:pull')];
    assert.equal(await auth.authorization(a, signal), undefined);
    assert.equal(await auth.refused(a, bearer('https://auth.example.com/t'), undefined, signal), true);
    assert.equal(await auth.authorization(a, signal), 'Bearer t1');
    assert.equal(await auth.authorization(a, signal), 'Bearer t1');
    assert.equal(await auth.authorization({ ...a, scopes: ['repository:y:pull'] }, signal), 'Bearer t2');
    assert.equal(await auth.authorization(b, signal), undefined, 'another host gets nothing');
    assert.equal(sent.length, 2);
    assert.equal(sent[0]?.url.href, 'https://auth.example.com/t?service=s&scope=repository%3Ax%3Apull');
  });

  it('asks once for requests side by side', async () => {
    const { auth, sent, asked } = setUp({ kind: 'password', username: 'u', secret: 'p' });
    const a = target('a.example.com', 'repository:x:pull');
    const challenge = (): Answer => bearer('https://auth.example.com/t');
    assert.deepEqual(
      await Promise.all([
        auth.refused(a, challenge(), undefined, signal),
        auth.refused(a, challenge(), undefined, signal),
      ]),
      [true, true],
    );
    await Promise.all([auth.authorization(a, signal), auth.authorization(a, signal)]);
    assert.deepEqual([sent.length, asked.length], [1, 1]);
  });

  it('goes on for who still waits when the first caller has gone, and for nobody else', async () => {
    const answers: ((answer: Answer) => void)[] = [];
    const signals: AbortSignal[] = [];
    const http: Http = {
      exchange(_exchange, bounded) {
        signals.push(bounded);
        return new Promise((resolve, reject) => {
          answers.push(resolve);
          bounded.addEventListener('abort', () => reject(bounded.reason as Error));
        });
      },
      close: () => undefined,
    };
    const auth = createAuthorizer({ http, credentials: () => Promise.resolve(undefined) });
    const a = target('a.example.com', 'repository:x:pull');
    await auth.refused(a, bearer('https://auth.example.com/t'), undefined, signal);
    const callers = [new AbortController(), new AbortController()];
    const asked = callers.map((each) => auth.authorization(a, each.signal));
    await new Promise(setImmediate);
    callers[0]?.abort(new Error('gone'));
    await assert.rejects(asked[0] ?? Promise.resolve(), /^Error: gone$/);
    assert.equal(signals[0]?.aborted, false);
    answers[0]?.(answer(200, '{"token":"late"}'));
    assert.equal(await asked[1], 'Bearer late');
    assert.equal(answers.length, 1);

    const other = { ...a, scopes: ['repository:y:pull'] };
    const last = new AbortController();
    const alone = auth.authorization(other, last.signal);
    await new Promise(setImmediate);
    last.abort(new Error('gone'));
    await assert.rejects(alone, /gone/);
    assert.equal(signals[1]?.aborted, true);
    const next = auth.authorization(other, signal);
    await new Promise(setImmediate);
    answers[2]?.(answer(200, '{"token":"anew"}'));
    assert.equal(await next, 'Bearer anew');
  });

  it('goes on with the identity token that a service hands out in place of ours', async () => {
    const { auth, sent } = setUp({ kind: 'refresh', token: 'first' }, (count) =>
      answer(200, `{"access_token":"t","refresh_token":"next${count}"}`),
    );
    const a = target('a.example.com', 'repository:x:pull');
    await auth.refused(a, bearer('https://auth.example.com/t'), undefined, signal);
    await auth.authorization(a, signal);
    await auth.authorization({ ...a, scopes: ['repository:y:pull'] }, signal);
    const tokens = sent.map(({ body }) => new URLSearchParams((body as Buffer).toString()).get('refresh_token'));
    assert.deepEqual(tokens, ['first', 'next1']);
  });

  it('fetches a new token when one was refused', async () => {
    const { auth } = setUp(undefined);
    const a = target('a.example.com', 'repository:x:pull');
    await auth.refused(a, bearer('https://auth.example.com/t'), undefined, signal);
    const first = await auth.authorization(a, signal);
    assert.equal(await auth.refused(a, bearer('https://auth.example.com/t'), first, signal), true);
    assert.equal(await auth.authorization(a, signal), 'Bearer t2');
  });

  it('sends identity tokens and passwords as the service wants them', async () => {
    const refresh = setUp({ kind: 'refresh', token: 'secret' });
    const a = target('a.example.com', 'repository:x:pull');
    await refresh.auth.refused(a, bearer('https://auth.example.com/t'), undefined, signal);
    await refresh.auth.authorization(a, signal);
    assert.equal(refresh.sent[0]?.method, 'POST');
    const body = refresh.sent[0]?.body;
    assert.ok(Buffer.isBuffer(body));
    assert.match(body.toString(), /grant_type=refresh_token&refresh_token=secret/);
    const old = setUp({ kind: 'password', username: 'u', secret: 'p' }, (count) =>
      count === 1 ? answer(405) : answer(200, '{"access_token":"posted"}'),
    );
    await old.auth.refused(a, bearer('https://auth.example.com/t'), undefined, signal);
    assert.equal(await old.auth.authorization(a, signal), 'Bearer posted');
    assert.equal(old.sent[0]?.headers['authorization'], 'Basic dTpw');
  });

  it('shows no password in clear, and none to this machine on a stranger’s word', async () => {
    const { auth, sent } = setUp({ kind: 'password', username: 'u', secret: 'p' });
    const a = target('a.example.com', 'repository:x:pull');
    await auth.refused(a, bearer('http://auth.example.com/t'), undefined, signal);
    await assert.rejects(auth.authorization(a, signal), /the registry is https, its token service is not/);
    assert.equal(sent.length, 0);
    const other = setUp(undefined);
    await other.auth.refused(a, bearer('https://127.0.0.1/t'), undefined, signal);
    await other.auth.authorization(a, signal);
    assert.equal(other.sent[0]?.strange, true);
  });

  for (const body of ['', '[]', 'null', '{"token":5}', '{"token":"a\\r\\nb"}']) {
    it(`takes no token from ${JSON.stringify(body)}`, async () => {
      const { auth } = setUp(undefined, () => answer(200, body));
      const a = target('a.example.com', 'repository:x:pull');
      await auth.refused(a, bearer('https://auth.example.com/t'), undefined, signal);
      await assert.rejects(auth.authorization(a, signal), /has no token: unauthenticated$/);
    });
  }
});
