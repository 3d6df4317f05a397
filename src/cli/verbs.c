#include "cli/verbs.h"

#include "cli/cli.h"

#define OPTS(...)                                                                                            \
	(const struct opt_row[]){ __VA_ARGS__ },                                                             \
	    sizeof((struct opt_row[]){ __VA_ARGS__ }) / sizeof(struct opt_row)
#define NO_OPTS NULL, 0

static const struct opt_row globals[] = {
	{ OPT_CONTROL, "--control", 0, "PATH", 0,
	    "the control socket (default: control.sock in runDir of the settings)" },
	{ OPT_CONFIG, "--config", 0, "FILE", 0, "the settings file (default: " CLI_CONFIG ")" },
	{ OPT_JSON, "--json", 0, NULL, 0, "print JSON, not text for people" },
	{ OPT_HELP, "--help", 'h', NULL, 0, "say what there is" },
	{ OPT_VERSION, "--version", 0, NULL, 0, "print the version" },
};

#define ARTIFACT_TEXT                                                                                        \
	"Progress goes to standard error: one line on a terminal, a line every 2 s elsewhere. Ends when "    \
	"every "                                                                                             \
	"artifact is done or failed; the exit status is 1 when one failed."

static const struct verb verbs[] = {
	{ "task", "start", "", 0, 0,
	    OPTS({ OPT_TASK, "--task", 0, "FILE|-", 1,
	             "the task: the body of POST /v1/tasks, a queue claim, or a task definition" },
	        { OPT_TASK_ID, "--task-id", 0, "ID", 0,
	            "its taskId, which a bare task definition does not hold" },
	        { OPT_RUN_ID, "--run-id", 0, "N", 0, "its run (default: 0)" },
	        { OPT_DOCKER_ARGS, "--docker-args", 0, NULL, 0,
	            "print options for 'docker run' on one line" }),
	    verb_task_start, "register a task and make its Docker socket",
	    "Prints the id, the socket, and the mounts and environment that the task's container needs. A "
	    "task whose "
	    "payload does not say features.dind: true gets no socket; that is no failure. Asking twice for "
	    "the same "
	    "task gives the same answer." },
	{ "task", "list", "", 0, 0, NO_OPTS, verb_task_list, "list the tasks that are known here", "" },
	{ "task", "show", "ID", 1, 1, NO_OPTS, verb_task_show, "show what a task owns and what it used",
	    "ID is the id that 'task start' printed, taskId/runId, or a taskId that is unique here." },
	{ "task", "report", "ID", 1, 1,
	    OPTS({ OPT_OUTPUT, "--output", 'o', "FILE", 0, "write it there (default: standard output)" }),
	    verb_task_report, "make an HTML report of what a task did",
	    "One page that needs nothing but itself: a timeline of builds, saves and uploads, what was "
	    "refused and "
	    "why, artifacts, images and limits. Made from the task's audit log and what the service knows; "
	    "for a "
	    "task that has ended, from the log alone." },
	{ "task", "credentials", "ID", 1, 1, NO_OPTS, verb_task_credentials,
	    "replace a task's credentials, read from standard input",
	    "Reads {\"clientId\", \"accessToken\", \"certificate\"}, or the answer to a reclaim, which holds "
	    "them. "
	    "Nothing is printed." },
	{ "task", "finish", "ID", 1, 1,
	    OPTS({ OPT_WAIT, "--wait", 0, NULL, 0, "wait until the artifacts are done or failed" },
	        { OPT_TIMEOUT, "--timeout", 0, "TIME", 0, "wait at most so long: 90s, 10m, 2h" }),
	    verb_task_finish, "take no new builds, and hand the declared artifacts off",
	    "With --wait: " ARTIFACT_TEXT },
	{ "task", "evidence", "ID", 1, 1,
	    OPTS({ OPT_PATH, "--path", 0, "NAME", 0,
	        "the artifact whose image the task runs in, when several were loaded for it" }),
	    verb_task_evidence, "print what the task's chain of trust is to say",
	    "Prints JSON for chain-of-trust-additional-data.json: environment.imageHash and "
	    "imageArtifactHash of "
	    "the image that was loaded for the task, the sha256 of each artifact, and all records. Ask after "
	    "'task finish' and before 'task end'." },
	{ "task", "end", "ID", 1, 1, NO_OPTS, verb_task_end,
	    "cancel a task's builds and remove all that it has here",
	    "Safe to repeat: a task that is not known is ended already. The state \"cleaning\" says that the "
	    "engine does not "
	    "answer: its socket and builds are gone, its images go as soon as the engine is back." },
	{ "artifact", "list", "ID", 1, 1, NO_OPTS, verb_artifact_list,
	    "list a task's artifacts and their states", "" },
	{ "artifact", "show", "ID NAME", 2, 2,
	    OPTS({ OPT_RECORD, "--record", 0, NULL, 0, "print its record only, as JSON" },
	        { OPT_PROVENANCE, "--provenance", 0, NULL, 0, "print the signed statement only, as JSON" }),
	    verb_artifact_show, "show what is known of an artifact: how it was built, and of what",
	    "An artifact has a record once it is sealed, and a signed statement once the uploader has taken "
	    "it "
	    "and has a key (evidence.key)." },
	{ "artifact", "verify", "FILE", 1, 1,
	    OPTS({ OPT_RECORD, "--record", 0, "FILE", 0,
	             "the record: of 'artifact show --record', or NAME.json beside the artifact in a store" },
	        { OPT_PROVENANCE, "--provenance", 0, "FILE", 0,
	            "the signed statement: of 'artifact show --provenance', or NAME.provenance.json" },
	        { OPT_KEY, "--key", 0, "FILE", 0, "the public key in PEM of who is to have signed it" }),
	    verb_artifact_verify, "check a file against its record, and that against a key",
	    "Checks size, sha256 and sha512 of the file, then the tarball in it, the image's id and its "
	    "layers; "
	    "with --provenance the signature, and that record and statement agree in every field. Says what "
	    "differs, with both values. Does not ask the service: it works anywhere." },
	{ "artifact", "wait", "ID", 1, 1,
	    OPTS({ OPT_TIMEOUT, "--timeout", 0, "TIME", 0, "wait at most so long: 90s, 10m, 2h" }),
	    verb_artifact_wait, "wait until a task's artifacts are done or failed", ARTIFACT_TEXT },
	{ "image", "load", "", 0, 0,
	    OPTS({ OPT_FOR, "--for", 0, "TASK/RUN", 1,
	             "the task that will run in the image; the image goes when it ends" },
	        { OPT_TASK_ID, "--task-id", 0, "ID", 0, "the task that made the image; or" },
	        { OPT_RUN_ID, "--run-id", 0, "N", 0, "its run (default: the latest)" },
	        { OPT_NAMESPACE, "--namespace", 0, "NAME", 0, "what the index has that task under" },
	        { OPT_PATH, "--path", 0, "NAME", 1, "the artifact, such as public/image.tar.zst" }),
	    verb_image_load, "load an image of another task, print its local name",
	    "The image is fetched from the store, as far as the engine lacks it, checked, and loaded under a "
	    "name that no task can choose. --json also tells what was fetched and saved." },
	{ "policy", "show", "", 0, 0, NO_OPTS, verb_policy_show, "show the policy that the service judges by",
	    "The host's: a task's own policy is part of 'task show'." },
	{ "policy", "explain", "METHOD TARGET", 2, 2,
	    OPTS({ OPT_TASK, "--task", 0, "ID", 0,
	             "judge as for this task (default: the host's policy, a task that owns nothing)" },
	        { OPT_POLICY, "--policy", 0, "FILE", 0,
	            "judge by this settings file, without asking the service" },
	        { OPT_DOCKERFILE, "--dockerfile", 0, "FILE|-", 0, "judge the Dockerfile of a build as well" },
	        { OPT_HEADER, "--header", 'H', "'NAME: VALUE'", 0,
	            "a header of the request; may be repeated" }),
	    verb_policy_explain, "say what would happen to a Docker API request, without sending it",
	    "Prints the decision, the rule that made it, the reason, and what would be sent to the engine. "
	    "The exit "
	    "status is 0 whatever the decision is. Example: dindctl policy explain --task ID POST "
	    "'/v1.41/build?t=app:1'" },
	{ "policy", "replay", "AUDITLOG...", 1, CLI_WORDS_MAX,
	    OPTS({ OPT_POLICY, "--policy", 0, "FILE", 1, "the settings file to judge by" }),
	    verb_policy_replay, "judge the requests of an audit log by other settings, and show what changes",
	    "Prints each request whose verdict would change, then how many were judged, how many stand "
	    "because "
	    "no policy decides them, and how many the log does not have enough of. The exit status is 1 when "
	    "a "
	    "verdict changes. Nothing is asked or sent." },
	{ "top", NULL, "", 0, 0,
	    OPTS({ OPT_INTERVAL, "--interval", 0, "SECONDS", 0, "look so often (default: 2)" }), verb_top,
	    "show what goes on: tasks, builds, bytes, refusals, memory",
	    "On a terminal the screen is drawn anew until q is pressed; to anything else, and with --json, "
	    "it is "
	    "printed once." },
	{ "reload", NULL, "", 0, 0, NO_OPTS, verb_reload, "let the service read its settings again",
	    "Ends when every request is judged by the new policy, and prints what changed and what waits for "
	    "a "
	    "restart. A file that is wrong changes nothing: the exit status is 1, and the text says what is "
	    "wrong. 'systemctl reload dind-proxyd' does the same." },
	{ "audit", "show", "", 0, 0,
	    OPTS({ OPT_TASK, "--task", 0, "ID", 0, "only this task: its id, taskId or taskId/runId" },
	        { OPT_DECISION, "--decision", 0, "WORD", 0, "only this decision: deny, allow or answer" },
	        { OPT_RULE, "--rule", 0, "NAME", 0, "only decisions of this rule" },
	        { OPT_SINCE, "--since", 0, "TIME", 0,
	            "only from then on: 10m, 2h, 3d, 2026-09-11, 2026-09-11T12:00:00Z" },
	        { OPT_UNTIL, "--until", 0, "TIME", 0, "only before then, in the same forms" },
	        { OPT_LAST, "--last", 0, "N", 0, "only the last N (default: 200; with --json all)" },
	        { OPT_FILE, "--file", 0, "FILE", 0,
	            "this log (default: the task's own, or all of audit.dir of the settings)" }),
	    verb_audit_show, "show the decisions in the audit log",
	    "One row for each request; below it the reason of a refusal, and names that were mapped. Reads "
	    "the log, does "
	    "not ask the service. --json prints the records, one a line." },
	{ "audit", "verify", "[FILE]...", 0, CLI_WORDS_MAX,
	    OPTS({ OPT_KEY, "--key", 0, "FILE", 0,
	             "the public key (PEM) that checkpoints are to be signed with (default: none is "
	             "checked)" },
	        { OPT_HEAD, "--head", 0, "FILE", 0,
	            "where the chain ends (default without FILE: audit/head in stateDir of the settings)" },
	        { OPT_TASK, "--task", 0, "ID", 0,
	            "hold the log of this task, by its id, against the chain, too" }),
	    verb_audit_verify, "look whether the audit log is as it was written",
	    "Follows the chain of records over all files and names each record that was changed, removed, "
	    "moved, "
	    "inserted, or cut off at the end. FILEs may be given in any order (default: all of audit.dir of "
	    "the "
	    "settings). The exit status is 1 when anything is wrong. docs/audit.md says what is found with "
	    "and "
	    "without a key." },
	{ "config", "check", "[FILE]", 0, 1, NO_OPTS, verb_config_check,
	    "check a settings file, and show what it changes",
	    "Errors name the line, the key and what was expected." },
	{ "config", "show", "[FILE]", 0, 1, NO_OPTS, verb_config_show, "show all settings and their values",
	    "" },
	{ "docs", NULL, "PART", 1, 1, NO_OPTS, verb_docs, "print a part of the manual",
	    "Parts in Markdown: settings, routes, params, refusals, rules, metrics, commands, api; in roff: "
	    "man-commands, "
	    "man-settings; for shells: completion-bash, completion-zsh. The files in docs/ are made of "
	    "these." },
};

const struct verb *
cli_verbs(size_t *count)
{
	*count = sizeof verbs / sizeof verbs[0];
	return verbs;
}

const struct opt_row *
cli_globals(size_t *count)
{
	*count = sizeof globals / sizeof globals[0];
	return globals;
}
