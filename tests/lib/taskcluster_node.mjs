// What of Taskcluster's own world tests use:
// taskcluster_node.mjs MODULES hawk | download ROOT TASK RUN NAME FILE | upload ROOT TASK RUN NAME FILE EXPIRES
// hawk: one question a line on stdin ({method, url, host, port, authorization, key, offset, payload, contentType}),
// one answer a line ({error}); download: the official client's downloadArtifact; credentials are in the environment.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { createReadStream, createWriteStream, statSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [modules, verb, ...words] = process.argv.slice(2);
const require = createRequire(pathToFileURL(modules + "/x.js"));

async function verify(hawk, q) {
	const request = { method: q.method, url: q.url, host: q.host, port: q.port, authorization: q.authorization, contentType: q.contentType };
	const options = { timestampSkewSec: 15 * 60, localtimeOffsetMsec: q.offset };
	if (q.payload !== null) options.payload = q.payload;
	try {
		await hawk.server.authenticate(request, async () => ({ key: q.key, algorithm: "sha256" }), options);
		return "";
	} catch (e) {
		return e.message;
	}
}

if (verb === "hawk") {
	const hawk = require("hawk");
	for await (const line of createInterface({ input: process.stdin })) {
		console.log(JSON.stringify({ error: await verify(hawk, JSON.parse(line)) }));
	}
} else if (verb === "download") {
	const [rootUrl, taskId, runId, name, file] = words;
	const tc = await import(pathToFileURL(modules + "/node_modules/taskcluster-client/src/index.js"));
	const client = tc.default ?? tc;
	const queue = new client.Queue({ rootUrl, credentials: JSON.parse(process.env.TEST_CREDENTIALS) });
	const contentType = await client.downloadArtifact({
		taskId, name, queue,
		runId: runId === "latest" ? undefined : Number(runId),
		streamFactory: async () => createWriteStream(file),
	});
	console.log(JSON.stringify({ contentType }));
} else if (verb === "upload") {
	const [rootUrl, taskId, runId, name, file, expires] = words;
	const tc = await import(pathToFileURL(modules + "/node_modules/taskcluster-client/src/index.js"));
	const client = tc.default ?? tc;
	const queue = new client.Queue({ rootUrl, credentials: JSON.parse(process.env.TEST_CREDENTIALS) });
	const contentType = "application/zstd";
	const made = await queue.createArtifact(taskId, runId, name, { storageType: "object", contentType, expires });
	const object = new client.Object({ rootUrl, credentials: made.credentials });
	await client.upload({
		projectId: made.projectId, name: made.name, uploadId: made.uploadId, expires: made.expires, object, contentType,
		contentLength: statSync(file).size,
		streamFactory: async () => createReadStream(file),
	});
	await queue.finishArtifact(taskId, runId, name, { uploadId: made.uploadId });
} else {
	throw new Error("unknown verb " + verb);
}
