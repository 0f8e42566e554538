// A viewer at a slow line: what the manifest says is enough for a first picture of a frame is asked for and decoded by
// OpenJPH. `node progressive.mjs`, what is asked on stdin, what came of it on stdout.
import { text } from 'node:stream/consumers';
import openjph from '@cornerstonejs/codec-openjph';

const { root, bearer, study, series, instance } = JSON.parse(await text(process.stdin));
const get = (path, headers = {}) => fetch(`${root}${path}`, { headers: { Authorization: bearer, ...headers } });

const manifest = await (await get(`/api/studies/${study}`)).json();
const { rendition } = manifest.series.find((one) => one.series_uid === series);
const path = `/dicom-web/studies/${study}/series/${series}/instances/${instance}/frames/1`;
const accept = { Accept: `image/jphc; transfer-syntax=${rendition.transfer_syntax}` };

async function decoded(halvings, bytes) {
  const answer = await get(path, bytes ? { ...accept, Range: `bytes=0-${bytes - 1}` } : accept);
  const codestream = new Uint8Array(await answer.arrayBuffer());
  const decoder = new codec.HTJ2KDecoder();
  decoder.getEncodedBuffer(codestream.length).set(codestream);
  decoder.decodeSubResolution(halvings);
  const { width, height, isSigned, bitsPerSample } = decoder.getFrameInfo();
  const pixels = Buffer.from(decoder.getDecodedBuffer()).toString('base64');
  const [columns, rows] = [width, height].map((side) => Math.ceil(side / 2 ** halvings));
  decoder.delete();
  return { status: answer.status, bytes: codestream.length, rows, columns, isSigned, bitsPerSample, pixels };
}

const codec = await openjph();
const halvings = rendition.resolution_bytes.indexOf(rendition.first_picture_bytes);
const first = await decoded(halvings, rendition.first_picture_bytes);
const second = await decoded(halvings - 1, rendition.resolution_bytes[halvings - 1]);
const whole = await decoded(0);
console.log(JSON.stringify({ halvings, first, second, whole }));
