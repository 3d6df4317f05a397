#include <jansson.h>

#include "base/json.h"
#include "judge.h"

#if defined(__x86_64__)
#define ARCHITECTURE "x86_64"
#elif defined(__aarch64__)
#define ARCHITECTURE "aarch64"
#else
#define ARCHITECTURE ""
#endif

/*
 * GET /info as a task sees it: its own images, nothing of the host. The objects are there because
 * docker info of 20.10 to 28 looks into them.
 */
char *
info_text(const struct owned *o)
{
	json_t *v = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "ID", o->ns, "Name", "dind-proxy",
	    "ServerVersion", "", "Driver", "dind-proxy", "OperatingSystem",
	    "a private socket that builds, tags and saves images", "OSType", "linux", "Architecture",
	    ARCHITECTURE, "IndexServerAddress", "https://index.docker.io/v1/");
	json_t *more = json_pack("{s:i, s:i, s:i, s:i, s:i, s:[], s:[], s:{s:s}, s:{s:[], s:[], s:[]}}",
	    "Images", (int)o->count, "Containers", 0, "ContainersRunning", 0, "ContainersPaused", 0,
	    "ContainersStopped", 0, "DriverStatus", "Labels", "Swarm", "LocalNodeState", "inactive",
	    "Plugins", "Volume", "Network", "Log");
	/* else clients warn of a host that they cannot see */
	static const char *const quiet[] = { "MemoryLimit", "SwapLimit", "OomKillDisable", "CpuCfsPeriod",
		"CpuCfsQuota", "CPUShares", "CPUSet", "IPv4Forwarding", "BridgeNfIptables",
		"BridgeNfIp6tables" };
	char *text;

	json_object_update(v, more);
	for (size_t i = 0; i < sizeof(quiet) / sizeof(*quiet); i++)
		json_object_set_new(v, quiet[i], json_true());
	text = json_text(v, 0);
	json_decref(more);
	json_decref(v);
	return text;
}
