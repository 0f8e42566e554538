// dicomweb-client (npm) against a running server: `node client.mjs`, what is asked on stdin, what came of it on stdout.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { api } from 'dicomweb-client';

const { root, bearer, study, series, instance, syntaxes, files } = JSON.parse(await text(process.stdin));

// What the client uses of the XMLHttpRequest that browsers have and Node has not.
globalThis.XMLHttpRequest = class {
  #headers = new Headers();
  #method;
  #url;

  open(method, url) {
    this.#method = method.toUpperCase();
    this.#url = new URL(url, root);
  }

  setRequestHeader(name, value) {
    this.#headers.append(name, value);
  }

  async send(body) {
    const answer = await fetch(this.#url, { method: this.#method, headers: this.#headers, body });
    const content = await answer.arrayBuffer();
    this.answered = answer.headers;
    this.status = answer.status;
    this.response = this.responseType === 'arraybuffer' ? content : new TextDecoder().decode(content);
    if (this.responseType === 'json') this.response = content.byteLength ? JSON.parse(this.response) : null;
    this.readyState = 4;
    this.onreadystatechange();
  }

  getResponseHeader(name) {
    return this.answered.get(name);
  }

  getAllResponseHeaders() {
    return [...this.answered].map(([name, value]) => `${name}: ${value}`).join('\r\n');
  }
};

const client = new api.DICOMwebClient({ url: root, headers: { Authorization: bearer }, singlepart: '' });
const names = { studyInstanceUID: study, seriesInstanceUID: series, sopInstanceUID: instance };
const sha = (content) => createHash('sha256').update(new Uint8Array(content)).digest('hex');
// Of the data set of a Part 10 file: what follows its group 0002 (PS3.10 7.1), which every store writes anew.
const shaOfDataSet = (file) => sha(file.slice(144 + new DataView(file).getUint32(140, true)));
const status = (promise) => promise.then(() => 200, (error) => error.status);
const found = {};

found.studies = await client.searchForStudies({ queryParams: { StudyInstanceUID: study, limit: 2 } });
found.none = await client.searchForStudies({ queryParams: { StudyInstanceUID: '1.2.3' } });
found.series = await client.searchForSeries({ studyInstanceUID: study });
found.instances = await client.searchForInstances(names);
found.metadata = await client.retrieveStudyMetadata(names);
found.seriesMetadata = await client.retrieveSeriesMetadata(names);
found.instanceMetadata = await client.retrieveInstanceMetadata(names);

found.instance = shaOfDataSet(await client.retrieveInstance(names));
found.seriesParts = (await client.retrieveSeries(names)).map(shaOfDataSet);
found.studyParts = (await client.retrieveStudy(names)).map(shaOfDataSet);

const frames = (more) => client.retrieveInstanceFrames({ ...names, frameNumbers: [1], ...more });
found.frame = (await frames({})).map(sha);
found.frames = {};
for (const [mediaType, transferSyntaxUID] of syntaxes) {
  const parts = await frames({ mediaTypes: [{ mediaType, transferSyntaxUID }] });
  found.frames[transferSyntaxUID] = parts.map((part) => Buffer.from(part).toString('base64'));
}
found.anyFrame = (await frames({
  mediaTypes: [
    { mediaType: 'application/octet-stream', transferSyntaxUID: '1.2.840.10008.1.2.1' },
    { mediaType: 'image/jls', transferSyntaxUID: '1.2.840.10008.1.2.4.80' },
  ],
})).map(sha);
found.noFrame = await status(client.retrieveInstanceFrames({ ...names, frameNumbers: [99] }));

const picture = async (promise) => Buffer.from((await promise)[0] ?? (await promise)).toString('base64');
found.pictures = {
  'image/jpeg': await picture(client.retrieveInstanceRendered({ ...names, mediaTypes: [{ mediaType: 'image/jpeg' }] })),
  'image/png': await picture(client.retrieveInstanceFramesRendered({
    ...names, frameNumbers: [1], mediaTypes: [{ mediaType: 'image/png' }], queryParams: { viewport: '32,32' },
  })),
  thumbnail: await picture(client.retrieveInstanceThumbnail({ ...names, mediaTypes: [{ mediaType: 'image/jpeg' }] })),
};

const uri = found.instanceMetadata[0]['7FE00010'].BulkDataURI;
const inBrowser = new URL(uri, root).href;
found.bulkData = (await client.retrieveBulkData({ BulkDataURI: inBrowser })).map(sha);

const datasets = files.map((file) => readFileSync(file)).map((b) => b.buffer.slice(b.byteOffset, b.byteOffset + b.length));
found.stored = JSON.parse(await client.storeInstances({ datasets }));
found.storedElsewhere = await status(client.storeInstances({ datasets, studyInstanceUID: '1.2.3' }));

process.stdout.write(JSON.stringify(found));
