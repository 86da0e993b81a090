// node run.js MODEL INPUT OUTPUT SHAPE: run a converted model on raw float32, write its relevance as raw float32.
const fs = require('fs');
const ort = require('onnxruntime-node');

const [model, input, output, shape] = process.argv.slice(2);

async function main() {
  const session = await ort.InferenceSession.create(model);
  const bytes = fs.readFileSync(input);
  const data = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  const x = new ort.Tensor('float32', data, shape.split(',').map(Number));
  const feeds = { [session.inputNames[0]]: x };
  const { relevance } = await session.run(feeds, ['relevance']);
  fs.writeFileSync(output, Buffer.from(relevance.data.buffer, relevance.data.byteOffset, relevance.data.byteLength));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
