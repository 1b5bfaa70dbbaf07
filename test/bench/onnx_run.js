/*
 * Scores with ONNX Runtime at the word of run.sh, in a process of its own, on one
 * thread of the CPU.
 * usage: node onnx_run.js
 *
 * Reads commands, a line each, and answers each with the seconds it took:
 *     memory     our stored network over all rows to score, from memory
 *     copy       the table by binary COPY, our network, the scores by binary COPY
 *                into bench.returned
 *
 * The network is written as an ONNX model here.  psql finds the server by the environment.
 */
'use strict';

const {spawn} = require('child_process');
const readline = require('readline');
const ort = require('onnxruntime-node');

const BATCH = 1024;

/* ------------------------------------------------- the network as an ONNX model */

const FLOAT = 1, INT32 = 6, INT64 = 7;

function varint(value) {
	const bytes = [];
	for (; value > 127; value = Math.floor(value / 128))
		bytes.push(value % 128 + 128);
	return Buffer.from([...bytes, value]);
}

/* A field of a protobuf message: a whole number, a text, or the bytes of a message. */
function field(number, value) {
	if (typeof value === 'number')
		return Buffer.concat([varint(8 * number), varint(value)]);
	const bytes = Buffer.from(value);
	return Buffer.concat([varint(8 * number + 2), varint(bytes.length), bytes]);
}

const message = (...fields) => Buffer.concat(fields);

function node(type, inputs, output, attributes = {}) {
	return field(1, message(
		...inputs.map((name) => field(1, name)), field(2, output), field(4, type),
		...Object.entries(attributes).map(([name, value]) =>
			field(5, message(field(1, name), field(3, value), field(20, 2))))));
}

function tensor(name, type, sizes, bytes) {
	return field(5, message(...sizes.map((size) => field(1, size)), field(2, type), field(8, name), field(9, bytes)));
}

/* An input or output [rows, cols], of any number of rows. */
function port(number, name, type, cols) {
	const shape = message(field(1, field(2, 'rows')), field(1, field(1, cols)));
	return field(number, message(field(1, name), field(2, field(1, message(field(1, type), field(2, shape))))));
}

/* stored: name -> {rows, cols, data}.  ids [rows, 3], counted through all fields -> score [rows, 1]. */
function onnxModel(stored) {
	const fields = ['user_id', 'item_id', 'domain'];
	const table = (kind) => Buffer.concat(fields.map((name) => stored[`${kind}.${name}`].data));
	const whole = (...numbers) => Buffer.from(BigInt64Array.from(numbers.map(BigInt)).buffer);
	const nIds = fields.reduce((sum, name) => sum + stored[`embedding.${name}`].rows, 0);
	const width = stored['embedding.domain'].cols;
	const parts = [
		tensor('embedding', FLOAT, [nIds, width], table('embedding')),
		tensor('linear', FLOAT, [nIds], table('linear')),
		tensor('flat', INT64, [2], whole(-1, 3 * width)),
		tensor('columns', INT64, [1], whole(1)),
		node('Gather', ['embedding', 'ids'], 'rows'),
		node('Reshape', ['rows', 'flat'], 'h0'),
		node('Gather', ['linear', 'ids'], 'terms'),
		node('ReduceSum', ['terms', 'columns'], 'sum', {keepdims: 1}),
	];
	let h = 'h0';
	for (let l = 0; stored[`tower.${l}.weight`]; l++) {
		const weight = stored[`tower.${l}.weight`];
		parts.push(
			tensor(`weight${l}`, FLOAT, [weight.rows, weight.cols], weight.data),
			tensor(`bias${l}`, FLOAT, [weight.cols], stored[`tower.${l}.bias`].data),
			node('Gemm', [h, `weight${l}`, `bias${l}`], `z${l}`),
			node('Relu', [`z${l}`], `h${l + 1}`));
		h = `h${l + 1}`;
	}
	parts.push(
		tensor('head', FLOAT, [stored['head.weight'].rows, 1], stored['head.weight'].data),
		tensor('bias', FLOAT, [1], stored.bias.data),
		node('Gemm', [h, 'head', 'bias'], 'z'),
		node('Add', ['z', 'sum'], 'logit'),
		node('Sigmoid', ['logit'], 'score'),
		field(2, 'bench'), port(11, 'ids', INT32, 3), port(12, 'score', FLOAT, 1));
	return message(field(1, 8), field(7, message(...parts)), field(8, message(field(1, ''), field(2, 13))));
}

/* ------------------------------------------------------------ the database by psql */

/* Runs a command; input goes to it, its output comes back. */
function psql(command, input) {
	return new Promise((resolve, reject) => {
		const child = spawn('psql', ['-X', '-q', '-At', '-v', 'ON_ERROR_STOP=1', '-c', command], {stdio: ['pipe', 'pipe', 'inherit']});
		const chunks = [];
		child.stdout.on('data', (chunk) => chunks.push(chunk));
		child.on('error', reject);
		child.on('close', (status) => status === 0 ? resolve(Buffer.concat(chunks)) : reject(new Error('psql failed')));
		child.stdin.end(input);
	});
}

/* COPY's binary format: 19 bytes of header; a row is its number of columns, then
 * each column's length and bytes; 2 bytes of trailer. */
const HEADER = Buffer.concat([Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), Buffer.alloc(8)]);
const TRAILER = Buffer.from([0xff, 0xff]);

/* The table's rows: id [n], and ids [n, 3] counted through all fields. */
async function copyOut(offsets) {
	const copied = await psql('COPY (SELECT id, user_id, item_id, place FROM bench.scored) TO STDOUT (FORMAT binary)');
	const rowLength = 2 + 4 * 8;
	const n = (copied.length - HEADER.length - TRAILER.length) / rowLength;
	const rows = {id: new Int32Array(n), ids: new Int32Array(3 * n)};
	for (let i = 0, at = HEADER.length + 6; i < n; i++, at += rowLength) {
		rows.id[i] = copied.readInt32BE(at);
		for (let f = 0; f < 3; f++)
			rows.ids[3 * i + f] = copied.readInt32BE(at + 8 * (f + 1)) + offsets[f];
	}
	return rows;
}

async function copyIn(id, scores) {
	const rows = Buffer.alloc(18 * id.length);
	for (let i = 0, at = 0; i < id.length; i++, at += 18) {
		rows.writeInt16BE(2, at);
		rows.writeInt32BE(4, at + 2);
		rows.writeInt32BE(id[i], at + 6);
		rows.writeInt32BE(4, at + 10);
		rows.writeFloatBE(scores[i], at + 14);
	}
	await psql('COPY bench.returned FROM STDIN (FORMAT binary)', Buffer.concat([HEADER, rows, TRAILER]));
}

async function readWeights() {
	const stored = {};
	for (const line of (await psql("SELECT name, rows, cols, encode(data, 'hex') FROM bench.weight")).toString().trim().split('\n')) {
		const [name, rows, cols, data] = line.split('|');
		stored[name] = {rows: Number(rows), cols: Number(cols), data: Buffer.from(data, 'hex')};
	}
	return stored;
}

/* ----------------------------------------------------------------------- scoring */

async function score(session, ids) {
	const n = ids.length / 3;
	const scores = new Float32Array(n);
	for (let from = 0; from < n; from += BATCH) {
		const to = Math.min(from + BATCH, n);
		const batch = new ort.Tensor('int32', ids.subarray(3 * from, 3 * to), [to - from, 3]);
		scores.set((await session.run({ids: batch})).score.data, from);
	}
	return scores;
}

async function main() {
	const stored = await readWeights();
	const users = stored['embedding.user_id'].rows;
	const offsets = [0, users, users + stored['embedding.item_id'].rows];
	const session = await ort.InferenceSession.create(onnxModel(stored),
		{executionProviders: ['cpu'], intraOpNumThreads: 1, interOpNumThreads: 1, executionMode: 'sequential'});
	const {ids} = await copyOut(offsets);
	const commands = {
		memory: () => score(session, ids),
		copy: async () => {
			const rows = await copyOut(offsets);
			await copyIn(rows.id, await score(session, rows.ids));
		},
	};

	await score(session, ids.subarray(0, 3 * 20 * BATCH));
	for await (const line of readline.createInterface({input: process.stdin})) {
		const start = process.hrtime.bigint();
		await commands[line.trim()]();
		console.log(Number(process.hrtime.bigint() - start) / 1e9);
	}
}

main().catch((error) => {
	console.error(error);
	process.exit(1);
});
