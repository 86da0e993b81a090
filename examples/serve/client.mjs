// node client.mjs MODEL INPUT: run a converted model on raw float32, print its prediction and the strongest pixel.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

// In a browser: import * as ort from 'onnxruntime-web'. require() also looks into NODE_PATH, import does not
const ort = createRequire(import.meta.url)('onnxruntime-node');
const [model, file] = process.argv.slice(2);

const session = await ort.InferenceSession.create(model);
const bytes = readFileSync(file);
const x = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
const shape = session.inputMetadata[0].shape.map((size) => (typeof size === 'number' && size > 0 ? size : 1));
const { logits, relevance } = await session.run({
  input: new ort.Tensor('float32', x, shape),
  target: new ort.Tensor('int64', [-1n], [1]), // the largest output
});

const strongest = (data) => data.reduce((best, value, i) => (value > data[best] ? i : best), 0);
const best = strongest(logits.data);
const place = strongest(relevance.data);
const width = shape.at(-1);
console.log(`prediction ${best} logit ${logits.data[best].toFixed(4)}`);
const [row, column] = [Math.floor(place / width), place % width];
console.log(`strongest pixel row ${row} column ${column} relevance ${relevance.data[place].toFixed(4)}`);
