/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/observe/trace.h"
#include "lib/print.h"

#define EVENT_MAX 40 /* bytes that one takes as text, at most */

void trace_ring_init(struct trace_ring *r, void *memory, u64 bytes)
{
	r->event = memory;
	r->mask = bytes / sizeof(*r->event) - 1;
	r->next = 0;
}

u64 trace_oldest(const struct trace_ring *r)
{
	return r->next > r->mask + 1 ? r->next - r->mask - 1 : 0;
}

/* @before: the event before it in the line, or NULL. */
static size_t event_text(const struct trace_event *e, const struct trace_event *before, char *buf,
			 size_t size)
{
	u64 delta = before ? e->tsc - before->tsc : 0;
	size_t len = scnprintf(buf, size, " %llx%c", (unsigned long long)delta, e->kind);

	if (!before || before->who != e->who)
		len += scnprintf(buf + len, size - len, "%02x:", e->who);
	if (e->what)
		len += scnprintf(buf + len, size - len, "%x", e->what);
	if (e->arg)
		len += scnprintf(buf + len, size - len, ".%x", e->arg);
	return len;
}

size_t trace_line(const struct trace_ring *r, u64 *at, char *buf, size_t size)
{
	const struct trace_event *before = NULL;
	size_t len = scnprintf(buf, size, "%llx", (unsigned long long)r->event[*at & r->mask].tsc);

	while (*at < r->next && size - len > EVENT_MAX) {
		const struct trace_event *e = &r->event[(*at)++ & r->mask];

		len += event_text(e, before, buf + len, size - len);
		before = e;
	}
	return len;
}
