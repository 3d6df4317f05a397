// What matrix.py lets dockerode do: HOME SOCKET CONTEXT.
"use strict";
const [home, socketPath, context] = process.argv.slice(2);
const Docker = require(home + "/node_modules/dockerode");
const docker = new Docker({ socketPath });

const show = (what, value) => console.log(what + ": " + JSON.stringify(value, null, 1));

const fails = (what, promise) =>
	promise.then(
		() => console.log(what + ": no error"),
		(e) => console.log(what + ": " + e.statusCode + " " + e.message),
	);

const output = (stream) =>
	new Promise((resolve, reject) =>
		docker.modem.followProgress(stream, (e, lines) => (e ? reject(e) : resolve(lines))),
	);

async function bytes(stream) {
	let count = 0;
	for await (const part of stream) count += part.length;
	return count;
}

async function build(options, files) {
	return output(await docker.buildImage({ context, src: files }, options));
}

(async () => {
	show("ping", String(await docker.ping()));
	show("version", (await docker.version()).Version);
	show("log", await build({ t: "node:1", nocache: true }, ["Dockerfile", "data"]));
	await fails("failing build", build({ dockerfile: "Failing", nocache: true, forcerm: true }, ["Failing"]));
	const image = docker.getImage("node:1");
	await image.tag({ repo: "example.com/team/node", tag: "2" });
	show("image", await image.inspect());
	const names = (await docker.listImages()).flatMap((i) => i.RepoTags || []);
	show("list", names.filter((n) => !n.includes("busybox")).sort());
	show("history", (await image.history()).map((h) => [h.CreatedBy, h.Size]));
	show("saved", (await bytes(await image.get())) > 1000000);
	await fails("unknown image", docker.getImage("no-such-image:1").inspect());
	await fails("unknown tag", docker.getImage("no-such-image:1").tag({ repo: "x" }));
	show("untagged", await docker.getImage("example.com/team/node:2").remove());
	await image.remove();
	await fails("removed image", image.inspect());
})().catch((e) => {
	console.log("error: " + e.message);
	process.exit(1);
});
