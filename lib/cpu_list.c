/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/cpu_list.h"
#include "lib/print.h"

static const char *skip_blanks(const char *s)
{
	while (*s == ' ' || *s == '\t')
		s++;
	return s;
}

/* The number that @s begins with. Returns what follows it, or NULL when there is no CPU's number. */
static const char *read_cpu(const char *s, unsigned int *cpu)
{
	const char *digits = skip_blanks(s);

	*cpu = 0;
	for (s = digits; *s >= '0' && *s <= '9'; s++) {
		*cpu = *cpu * 10 + (unsigned int)(*s - '0');
		if (*cpu >= CPU_LIST_CPUS)
			return NULL;
	}
	return s == digits ? NULL : skip_blanks(s);
}

static const char *append(struct cpu_list *list, unsigned int first, unsigned int last)
{
	if (last < first)
		return "a range that goes down: expected FIRST-LAST";
	for (; first <= last; first++) {
		if (cpu_list_has(list, first))
			return "a CPU is named twice: expected one for each vCPU";
		if (list->count == CPU_LIST_MAX)
			return "too many CPUs: expected at most 16";
		list->cpu[list->count++] = (u8)first;
	}
	return NULL;
}

static const char *parse(struct cpu_list *list, const char *text)
{
	static const char bad[] = "bad list: expected CPUs from 0 to 63, as in 1-2 or 1,3";

	_Static_assert(CPU_LIST_MAX == 16 && CPU_LIST_CPUS == 64, "the texts name them");
	for (;; text++) {
		unsigned int first, last;
		const char *reason;

		text = read_cpu(text, &first);
		if (!text)
			return bad;
		last = first;
		if (*text == '-')
			text = read_cpu(text + 1, &last);
		if (!text || (*text && *text != ','))
			return bad;
		reason = append(list, first, last);
		if (reason || !*text)
			return reason;
	}
}

const char *cpu_list_parse(struct cpu_list *list, const char *text)
{
	const char *reason;

	list->count = 0;
	reason = parse(list, text);
	if (reason)
		list->count = 0;
	return reason;
}

const char *cpu_list_text(const struct cpu_list *list, char *buf, size_t size)
{
	size_t len = 0;

	buf[0] = 0;
	for (unsigned int i = 0, next; i < list->count; i = next) {
		for (next = i + 1; next < list->count; next++) {
			if (list->cpu[next] != list->cpu[next - 1] + 1)
				break;
		}
		len += scnprintf(buf + len, size - len, "%s%u", i ? "," : "", list->cpu[i]);
		if (next > i + 1)
			len += scnprintf(buf + len, size - len, "-%u", list->cpu[next - 1]);
	}
	return buf;
}
