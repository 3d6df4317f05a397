#ifndef PROXY_WAKE_H
#define PROXY_WAKE_H

struct session;

/*
 * A build that was given up: its client went away, it was stopped, its task ended. The engine does not end it
 * at once: the step under way is still committed, perhaps the image still named, and whoever cleans up before
 * that leaves it behind. So the engine's connection is half-closed, which cancels the build, and what it
 * still says is read to the end: images, names and steps are recorded as ever, and the end of a task waits
 * for it (proxy_waking()). Until then it counts as a build.
 */

/*
 * Takes the engine's connection and the building from a session, when the engine may still be at work on it;
 * 0 when there is nothing to wait for, and both stay where they were.
 */
int wake_start(struct session *s);

#endif
