// grpc-js calls: grpc_js_client.js ADDRESS CALL, with retries of its own: five attempts for UNAVAILABLE. Prints the status.

const grpc = require("@grpc/grpc-js");

const [address, call] = process.argv.slice(2);

const serviceConfig = {
  methodConfig: [
    {
      name: [{}],
      retryPolicy: {
        maxAttempts: 5,
        initialBackoff: "0.005s",
        maxBackoff: "0.01s",
        backoffMultiplier: 2,
        retryableStatusCodes: ["UNAVAILABLE"],
      },
    },
  ],
};

const client = new grpc.Client(address, grpc.credentials.createInsecure(), {
  "grpc.service_config": JSON.stringify(serviceConfig),
});
const metadata = new grpc.Metadata();
metadata.set("x-call", call);
const same = (bytes) => bytes;
const options = { deadline: Date.now() + 20_000 };
client.makeUnaryRequest("/peers.Peer/Call", same, same, Buffer.alloc(0), metadata, options, (error) => {
  console.log(error ? error.code : grpc.status.OK);
  client.close();
});
