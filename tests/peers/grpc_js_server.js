// A grpc-js server: fails the first attempts of a call as its name says, `COUNT CODE PUSHBACK`. Prints its port, and then a line for
// each attempt: how many came before, as it was told, and the milliseconds of a clock.

const grpc = require("@grpc/grpc-js");

const counts = new Map();

function answer(request, callback) {
  const name = request.metadata.get("x-call")[0];
  const previous = request.metadata.get("grpc-previous-rpc-attempts")[0] ?? "none";
  console.log(`${previous} ${performance.now()}`);
  const count = (counts.get(name) ?? 0) + 1;
  counts.set(name, count);
  const [failures, code, pushback] = name.split(" ");
  if (count > Number(failures)) {
    callback(null, Buffer.alloc(0));
    return;
  }
  const metadata = new grpc.Metadata();
  if (pushback) {
    metadata.set("grpc-retry-pushback-ms", pushback);
  }
  callback({ code: Number(code), details: "as told", metadata });
}

const same = (bytes) => bytes;
const method = {
  path: "/peers.Peer/Call",
  requestStream: false,
  responseStream: false,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
};

const server = new grpc.Server();
server.addService({ call: method }, { call: (call, callback) => answer(call, callback) });
server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) {
    throw error;
  }
  console.log(port);
});
