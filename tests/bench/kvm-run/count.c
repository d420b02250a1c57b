/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How often the guest has come out: KVM's own statistics of the first vCPU, and, if the kernel counts
 * them, its exits by reason. Told at the guest's end, and after lines of the guest's that begin as was wished.
 */
#include "kvm-run.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define LONGEST_LINE 256

static const char *mark = "", *exits_file;
static int stats = -1;
static struct kvm_stats_header head;
static uint8_t *descriptors;

void count_when(const char *line, const char *file)
{
	mark = line;
	exits_file = file;
}

static void read_stats(void *to, size_t size, off_t at)
{
	if (pread(stats, to, size, at) != (ssize_t)size)
		fail(errno, "the statistics of vCPU 0 cannot be read");
}

void count_cpu(int cpu)
{
	size_t size;

	stats = ioctl(cpu, KVM_GET_STATS_FD, NULL);
	if (stats < 0)
		fail(errno, "KVM_GET_STATS_FD (Linux 5.14 is the first that has it)");
	read_stats(&head, sizeof(head), 0);
	size = head.num_desc * (sizeof(struct kvm_stats_desc) + head.name_size);
	descriptors = malloc(size);
	if (!descriptors)
		fail(errno, "no memory for %u statistics", head.num_desc);
	read_stats(descriptors, size, head.desc_offset);
}

/* What only grows, is a number of something and not of bytes or seconds, and is not 0. */
static void print_stats(const char *when)
{
	printf("kvm-run: @counters {\"when\": \"%s\"", when);
	for (uint32_t i = 0; i < head.num_desc; i++) {
		const void *at = descriptors + i * (sizeof(struct kvm_stats_desc) + head.name_size);
		const struct kvm_stats_desc *d = at;
		uint64_t value;

		if ((d->flags & KVM_STATS_TYPE_MASK) != KVM_STATS_TYPE_CUMULATIVE ||
		    (d->flags & KVM_STATS_UNIT_MASK) != KVM_STATS_UNIT_NONE || d->size != 1)
			continue;
		read_stats(&value, sizeof(value), head.data_offset + (off_t)d->offset);
		if (value)
			printf(", \"%s\": %" PRIu64, d->name, value);
	}
	printf("}\n");
}

/* A histogram of the trace event kvm_exit by its exit_reason (Documentation/trace/histogram.rst). */
static void print_exits(const char *when)
{
	FILE *file = fopen(exits_file, "r");
	char line[LONGEST_LINE];

	if (!file)
		fail(errno, "%s", exits_file);
	printf("kvm-run: @exits {\"when\": \"%s\"", when);
	while (fgets(line, sizeof(line), file)) {
		unsigned int reason;
		uint64_t number;

		if (sscanf(line, " { exit_reason: %u } hitcount: %" SCNu64, &reason, &number) == 2)
			printf(", \"%u\": %" PRIu64, reason, number);
	}
	printf("}\n");
	fclose(file);
}

void count_show(const char *when)
{
	if (stats < 0)
		return;
	print_stats(when);
	if (exits_file)
		print_exits(when);
	fflush(stdout);
}

/* A line that is longer than any mark is cut. */
void count_output(uint8_t byte)
{
	static char line[LONGEST_LINE];
	static size_t length;

	if (byte != '\n') {
		if (length < sizeof(line) - 1)
			line[length++] = (char)byte;
		return;
	}
	line[length] = '\0';
	length = 0;
	if (*mark && !strncmp(line, mark, strlen(mark)))
		count_show("line");
}
