// node wasm.js MODEL INPUT OUTPUT TARGET: run a model on the runtime of browsers, write its relevance as raw float32.
const fs = require('fs');
const ort = require('onnxruntime-web');

const [model, input, output, target] = process.argv.slice(2);

async function main() {
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(new Uint8Array(fs.readFileSync(model)));
  const bytes = fs.readFileSync(input);
  const data = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  const { relevance } = await session.run({
    input: new ort.Tensor('float32', data, [1, 1, 28, 28]),
    target: new ort.Tensor('int64', [BigInt(target)], [1]),
  });
  fs.writeFileSync(output, Buffer.from(relevance.data.buffer, relevance.data.byteOffset, relevance.data.byteLength));
}

main().then(() => process.exit(0), (error) => {
  console.error(error);
  process.exit(1);
});
