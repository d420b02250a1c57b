/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kvm-run [--cpus N] [--memory MIB] [--seconds S] [--cmdline TEXT] IMAGE: see kvm-run.h. With
 * --initrd FILE the image is a Linux (vmlinux), whose exits are counted: see count.c.
 */
#include "kvm-run.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* Free guest-physical addresses for what KVM needs on processors without unrestricted guest. */
#define IDENTITY_MAP 0xfffbc000ul
#define TSS_PAGES    0xfffbd000ul

void fail(int number, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fprintf(stderr, "kvm-run: error: ");
	vfprintf(stderr, fmt, args);
	fprintf(stderr, number ? ": %s\n" : "\n", strerror(number));
	va_end(args);
	exit(STATUS_FAILED);
}

static void make_memory(struct machine *m)
{
	struct kvm_userspace_memory_region region = { .memory_size = m->memory_size };
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	size_t large = 2 << 20;
	uint8_t *at = mmap(NULL, m->memory_size + large, PROT_READ | PROT_WRITE, flags, -1, 0);

	if (at == MAP_FAILED)
		fail(errno, "no %zu MiB of memory", m->memory_size >> 20);
	m->memory = (uint8_t *)(((uintptr_t)at + large - 1) & ~(large - 1));
	/* As QEMU does: a wish, not a condition. */
	(void)madvise(m->memory, m->memory_size, MADV_HUGEPAGE);
	/* All of it is there before the guest starts, as under Lintel; exitbench measures its first touch. */
	if (m->is_linux && madvise(m->memory, m->memory_size, MADV_POPULATE_WRITE))
		fail(errno, "no %zu MiB of memory", m->memory_size >> 20);
	region.userspace_addr = (uintptr_t)m->memory;
	if (ioctl(m->vm, KVM_SET_USER_MEMORY_REGION, &region))
		fail(errno, "KVM_SET_USER_MEMORY_REGION");
}

/* Kicks end in the kernel, at an event that nobody waits for. */
static void make_kick(struct machine *m, uint64_t address, uint32_t size, uint32_t flags)
{
	struct kvm_ioeventfd event = { .addr = address, .len = size, .flags = flags };

	event.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (event.fd < 0 || ioctl(m->vm, KVM_IOEVENTFD, &event))
		fail(errno, "KVM_IOEVENTFD");
}

/* With the port that reads its second output: Linux may measure the TSC by that. */
static void make_pit(struct machine *m)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };

	if (ioctl(m->vm, KVM_CREATE_PIT2, &pit))
		fail(errno, "KVM_CREATE_PIT2");
}

static void make_vm(struct machine *m)
{
	uint64_t identity = IDENTITY_MAP;

	m->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (m->kvm < 0)
		fail(errno, "/dev/kvm cannot be opened (is kvm_intel loaded, and are you in the "
			    "group kvm?)");
	if (ioctl(m->kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		fail(0, "/dev/kvm has another version of the interface than %d", KVM_API_VERSION);
	m->vm = ioctl(m->kvm, KVM_CREATE_VM, 0);
	if (m->vm < 0)
		fail(errno, "KVM_CREATE_VM");
	if (ioctl(m->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity) ||
	    ioctl(m->vm, KVM_SET_TSS_ADDR, TSS_PAGES))
		fail(errno, "KVM_SET_TSS_ADDR");
	if (ioctl(m->vm, KVM_CREATE_IRQCHIP, 0))
		fail(errno, "KVM_CREATE_IRQCHIP");
	make_memory(m);
	if (m->is_linux) {
		make_pit(m);
	} else {
		make_kick(m, KICK_PORT, 2, KVM_IOEVENTFD_FLAG_PIO);
		make_kick(m, KICK_MEMORY, 0, 0); /* any length: KVM's quickest way */
	}
}

static void out_of_time(int number)
{
	static const char text[] = "kvm-run: error: time-out\n";

	(void)number;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(STATUS_FAILED);
	_exit(STATUS_TIME);
}

static void usage(void)
{
	fprintf(stderr,
		"usage: kvm-run [--cpus 1-%d] [--memory MIB (16-3072)] [--seconds S] "
		"[--cmdline TEXT] IMAGE\n"
		"       kvm-run ... --initrd FILE [--count-at TEXT] [--exits FILE] VMLINUX\n",
		MOST_CPUS);
	exit(STATUS_FAILED);
}

static unsigned long number(const char *text, unsigned long least, unsigned long most)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end || end == text || value < least || value > most)
		usage();
	return value;
}

static const struct option options[] = {
	{ "cpus", required_argument, NULL, 'n' },    { "memory", required_argument, NULL, 'm' },
	{ "seconds", required_argument, NULL, 's' }, { "cmdline", required_argument, NULL, 'c' },
	{ "initrd", required_argument, NULL, 'i' },  { "count-at", required_argument, NULL, 'a' },
	{ "exits", required_argument, NULL, 'e' },   { 0 },
};

/* What the command line says, beside what is in the machine. */
struct wishes {
	const char *cmdline, *initrd, *count_at, *exits;
};

static void parse(int argc, char **argv, struct machine *m, struct wishes *w)
{
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'n': m->cpus = (unsigned int)number(optarg, 1, MOST_CPUS); break;
		case 'm': m->memory_size = number(optarg, 16, 3072) << 20; break;
		case 's':
			signal(SIGALRM, out_of_time);
			alarm((unsigned int)number(optarg, 1, 86400));
			break;
		case 'c': w->cmdline = optarg; break;
		case 'i': w->initrd = optarg; break;
		case 'a': w->count_at = optarg; break;
		case 'e': w->exits = optarg; break;
		default: usage();
		}
	}
	m->is_linux = w->initrd;
	if (optind != argc - 1 || (!m->is_linux && (*w->count_at || w->exits)))
		usage();
}

static uint64_t load(struct machine *m, const char *path, const struct wishes *w)
{
	char cmdline[2048] = "";

	if (!m->is_linux)
		snprintf(cmdline, sizeof(cmdline), "kick-port=%u kick-memory=%u ", KICK_PORT,
			 KICK_MEMORY);
	if (strlen(cmdline) + strlen(w->cmdline) >= sizeof(cmdline))
		fail(0, "--cmdline is too long");
	strcat(cmdline, w->cmdline);
	return m->is_linux ? load_linux(m, path, w->initrd, cmdline) : load_image(m, path, cmdline);
}

int main(int argc, char **argv)
{
	struct machine m = { .cpus = 1, .memory_size = 256ul << 20 };
	struct wishes wishes = { .cmdline = "", .count_at = "" };
	uint64_t entry;

	parse(argc, argv, &m, &wishes);
	count_when(wishes.count_at, wishes.exits);
	make_vm(&m);
	make_acpi(&m);
	entry = load(&m, argv[optind], &wishes);
	for (unsigned int i = 0; i < m.cpus; i++)
		make_cpu(&m, i, entry);
	run_cpus(&m);
	return STATUS_FAILED;
}
