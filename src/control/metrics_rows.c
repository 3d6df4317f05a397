#include "base/buf.h"
#include "control/metrics.h"

static const struct metric_row rows[METRICS_COUNT] = {
#define X(id, name, type, labels, help) { name, METRIC_##type, labels, help },
	METRICS(X)
#undef X
};

static const char *const types[] = {
	[METRIC_GAUGE] = "gauge",
	[METRIC_COUNTER] = "counter",
	[METRIC_HISTOGRAM] = "histogram",
};

const struct metric_row *
metrics_rows(void)
{
	return rows;
}

const char *
metrics_type_name(enum metric_type type)
{
	return types[type];
}

void
metrics_doc(struct buf *out)
{
	buf_adds(out, "| name | type | labels | meaning |\n|---|---|---|---|\n");
	for (int i = 0; i < METRICS_COUNT; i++)
		buf_printf(out, "| `%s` | %s | %s | %s |\n", rows[i].name, types[rows[i].type],
		    rows[i].labels, rows[i].help);
}
