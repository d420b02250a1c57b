/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The first process of a Linux whose work is measured: a few kinds of load, each a fixed amount of
 * work, told with the TSC ticks that it took; then it switches off. Its arguments are loads' names
 * (all of them without one; "none": none), so that one image runs on the bare machine and in a VM.
 *
 *   loads: @load {"load": "pipe", "ticks": 123}
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("lfence; rdtsc; lfence" : "=a"(lo), "=d"(hi) : : "memory");
	return (uint64_t)hi << 32 | lo;
}

static void check(int ok, const char *what)
{
	if (ok)
		return;
	printf("loads: error: %s: %s\n", what, strerror(errno));
	sync();
	reboot(RB_POWER_OFF);
}

/* Arithmetic in registers: 60 million instructions. */
static void load_cpu(void)
{
	uint64_t n = 20000000, x = 1;

	__asm__ volatile("1:\n\tadd %0, %1\n\tdec %0\n\tjnz 1b" : "+r"(n), "+r"(x) : : "cc");
}

/* This program again, which ends at once. */
static void load_fork_exec(void)
{
	for (int i = 0; i < 100; i++) {
		int status;
		pid_t pid = fork();

		check(pid >= 0, "fork");
		if (!pid) {
			execl("/loads", "loads", "end", (char *)NULL);
			_exit(1);
		}
		check(waitpid(pid, &status, 0) == pid && !status, "exec");
	}
}

static void load_page_fault(void)
{
	size_t size = 16 << 20;

	for (int i = 0; i < 4; i++) {
		volatile char *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		check(p != MAP_FAILED, "mmap");
		(void)madvise((void *)p, size, MADV_NOHUGEPAGE);
		for (size_t at = 0; at < size; at += 4096)
			p[at] = 1;
		munmap((void *)p, size);
	}
}

/* A byte to and fro between two processes: two context switches each. */
static void load_pipe(void)
{
	int there[2], back[2];
	char byte = 0;
	pid_t pid;

	check(!pipe(there) && !pipe(back), "pipe");
	pid = fork();
	check(pid >= 0, "fork");
	if (!pid) {
		close(there[1]);
		while (read(there[0], &byte, 1) == 1)
			if (write(back[1], &byte, 1) != 1)
				_exit(1);
		_exit(0);
	}
	for (int i = 0; i < 3000; i++)
		check(write(there[1], &byte, 1) == 1 && read(back[0], &byte, 1) == 1, "pipe");
	close(there[1]);
	waitpid(pid, NULL, 0);
	close(there[0]), close(back[0]), close(back[1]);
}

/* Sleeps of a millisecond: the timer, the idle loop and the way back. */
static void load_timer(void)
{
	struct timespec ms = { 0, 1000000 };

	for (int i = 0; i < 200; i++)
		nanosleep(&ms, NULL);
}

static void load_file(void)
{
	static char block[65536];
	int fd;

	for (int i = 0; i < 4; i++) {
		fd = open("/tmp/file", O_RDWR | O_CREAT | O_TRUNC, 0600);
		check(fd >= 0, "open");
		for (int j = 0; j < 64; j++)
			check(write(fd, block, sizeof(block)) == sizeof(block), "write");
		check(lseek(fd, 0, SEEK_SET) == 0, "lseek");
		for (int j = 0; j < 64; j++)
			check(read(fd, block, sizeof(block)) == sizeof(block), "read");
		close(fd);
		unlink("/tmp/file");
	}
}

/* --- TCP over the loopback interface between two processes --- */

#define NETWORK_WORDS  2048 /* a block of 16 KiB */
#define NETWORK_BLOCKS 256
#define NETWORK_ROUNDS 500

static void loopback_up(void)
{
	struct ifreq lo = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	check(fd >= 0 && !ioctl(fd, SIOCGIFFLAGS, &lo), "lo");
	lo.ifr_flags |= IFF_UP;
	check(!ioctl(fd, SIOCSIFFLAGS, &lo), "lo");
	close(fd);
}

/* The block's words are their places in the stream: none is like another. */
static void network_fill(uint64_t *words, uint64_t at)
{
	for (size_t i = 0; i < NETWORK_WORDS; i++)
		words[i] = at + i;
}

/* All bytes must come, and be right, before the sender hears of it; then a byte to and fro. */
static int network_receive(int fd)
{
	static uint64_t got[NETWORK_WORDS], expected[NETWORK_WORDS];
	char byte = 0;

	for (uint64_t i = 0; i < NETWORK_BLOCKS; i++) {
		network_fill(expected, i * NETWORK_WORDS);
		if (recv(fd, got, sizeof(got), MSG_WAITALL) != sizeof(got) ||
		    memcmp(got, expected, sizeof(got)) != 0)
			return 1;
	}
	for (int i = 0; i < NETWORK_ROUNDS; i++)
		if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1)
			return 1;
	return read(fd, &byte, 1) != 0;
}

static void network_send(int fd)
{
	static uint64_t block[NETWORK_WORDS];
	char byte;

	for (uint64_t i = 0; i < NETWORK_BLOCKS; i++) {
		network_fill(block, i * NETWORK_WORDS);
		check(write(fd, block, sizeof(block)) == sizeof(block), "send");
	}
	for (int i = 0; i < NETWORK_ROUNDS; i++)
		check(read(fd, &byte, 1) == 1 && write(fd, &byte, 1) == 1, "byte to and fro");
}

static int network_connect(const struct sockaddr_in *there)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	if (fd < 0 || connect(fd, (const struct sockaddr *)there, sizeof(*there)) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)))
		return -1;
	return fd;
}

static void load_network(void)
{
	struct sockaddr_in here = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(here);
	int fd, listener = socket(AF_INET, SOCK_STREAM, 0), on = 1, status;
	pid_t pid;

	loopback_up();
	check(listener >= 0 && !bind(listener, (struct sockaddr *)&here, size) &&
		      !listen(listener, 1) &&
		      !getsockname(listener, (struct sockaddr *)&here, &size),
	      "listen");
	pid = fork();
	check(pid >= 0, "fork");
	if (!pid) {
		fd = network_connect(&here);
		_exit(fd < 0 ? 2 : network_receive(fd));
	}
	fd = accept(listener, NULL, NULL);
	check(fd >= 0 && !setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), "accept");
	network_send(fd);
	close(fd);
	close(listener);
	check(waitpid(pid, &status, 0) == pid && !status,
	      "what was sent did not all come, or not right");
}

static const struct load {
	const char *name;
	void (*fn)(void);
} loads[] = {
	{ "cpu", load_cpu },
	{ "fork_exec", load_fork_exec },
	{ "page_fault", load_page_fault },
	{ "pipe", load_pipe },
	{ "timer", load_timer },
	{ "file", load_file },
	{ "network", load_network },
};

static int is_chosen(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], name))
			return 1;
	return argc == 1;
}

static void show(const char *path, const char *what, const char *only)
{
	char line[4096];
	FILE *file = fopen(path, "r");

	while (file && fgets(line, sizeof(line), file)) {
		if (!only || !strncmp(line, only, strlen(only))) {
			printf("loads: about %s %s", what, line);
			break;
		}
	}
	if (file)
		fclose(file);
}

/* What decides about the kernel's paths: mitigations, and the processor's features. */
static void about(void)
{
	static const char *const names[] = { "meltdown",       "mds",        "l1tf",
					     "spectre_v1",     "spectre_v2", "retbleed",
					     "mmio_stale_data" };
	char path[128];

	mkdir("/sys", 0777);
	mkdir("/proc", 0777);
	(void)mount("sysfs", "/sys", "sysfs", 0, NULL);
	(void)mount("proc", "/proc", "proc", 0, NULL);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "/sys/devices/system/cpu/vulnerabilities/%s",
			 names[i]);
		show(path, names[i], NULL);
	}
	show("/proc/cpuinfo", "cpu", "flags");
}

int main(int argc, char **argv)
{
	uint64_t start = rdtsc();
	struct timespec up;

	if (argc == 2 && !strcmp(argv[1], "end"))
		return 0;
	clock_gettime(CLOCK_MONOTONIC, &up);
	mkdir("/tmp", 0777);
	(void)mount("tmpfs", "/tmp", "tmpfs", 0, NULL);
	printf("loads: @load {\"load\": \"boot\", \"ns\": %lld, \"tsc\": %llu}\n",
	       (long long)up.tv_sec * 1000000000 + up.tv_nsec, (unsigned long long)start);
	for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++) {
		if (!is_chosen(loads[i].name, argc, argv))
			continue;
		loads[i].fn(); /* once in vain: caches of files and pages */
		start = rdtsc();
		loads[i].fn();
		printf("loads: @load {\"load\": \"%s\", \"ticks\": %llu}\n", loads[i].name,
		       (unsigned long long)(rdtsc() - start));
	}
	printf("loads: @load {\"end\": 1, \"tsc\": %llu}\n", (unsigned long long)rdtsc());
	fflush(stdout);
	about();
	fflush(stdout);
	tcdrain(STDOUT_FILENO);
	reboot(RB_POWER_OFF);
	return 1;
}
