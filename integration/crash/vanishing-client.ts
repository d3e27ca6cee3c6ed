// A client that begins to write content and is killed in the middle; started by soak.test.ts.
//
//   vanishing-client.js SOCKET NAMESPACE REF
import { connect } from '../../client/connect.ts';

const [address = '', namespace = '', ref = ''] = process.argv.slice(2);
const client = connect(address, { namespace });
const writer = client.content.Write();
await writer.send({ action: 1, ref, data: Buffer.alloc(1000) });
await writer.receive();
process.kill(process.pid, 'SIGKILL');
