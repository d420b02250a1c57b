/* SPDX-License-Identifier: BSD-2-Clause */
/* lintel.conf: what is read, what is refused, and the exact words of each refusal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "boot/config.h"
#include "lib/printk.h"
#include "lib/string.h"
#include "tests/unit/host_support.h"

static struct config cfg;

static u64 mask_bits(const char *name)
{
	if (!strcmp(name, "profile:both"))
		return 3;
	return !strcmp(name, "vid") ? 1 : !strcmp(name, "vpid") ? 2 : 0;
}

static u64 hide_bits(const char *name)
{
	return !strcmp(name, "x2apic") ? 4 : !strcmp(name, "pv") ? 8 : 0;
}

static const struct config_names names = { mask_bits, hide_bits };

/* An exact copy on the heap, so that the sanitizer sees a read beyond the end. */
static unsigned int parse_bytes(const char *text, size_t size)
{
	char *copy = malloc(size ? size : 1);
	unsigned int errors;

	memcpy(copy, text, size);
	capture_start();
	errors = config_parse(&cfg, copy, size, &names);
	capture_stop();
	free(copy);
	assert_int_equal(errors, cfg.errors);
	return errors;
}

static unsigned int parse(const char *text)
{
	return parse_bytes(text, strlen(text));
}

/* The whole example of the reference is understood, each key into its own field. */
static void test_everything(void **state)
{
	const struct vm_config *vm = &cfg.vm[0];

	(void)state;
	assert_int_equal(parse("# a comment\n"
			       "[lintel]\n"
			       "console = com2   # and one here\n"
			       "idle=stay\n"
			       "\tlog =\twarning\t\n"
			       "mask = vid , vpid\n"
			       "errata-ignore = profile:both\n"
			       "interrupts = quiet\n"
			       "selftest = yes\n"
			       "io-cpu = 7\n"
			       "exit-times = yes\n"
			       "trace = 16k\n"
			       "[ vm debian-12.5_a ]\n"
			       "cpus = 2\n"
			       "memory = 1g\n"
			       "kernel = sub/vmlinuz\n"
			       "initrd = initrd.img\n"
			       "cmdline = root=/dev/vda1 a#b   quiet # not this\n"
			       "restart = on-crash\n"
			       "hide = x2apic,pv\n"
			       "debug-exit = 0xF4\n"
			       "pin = 3, 1\n"
			       "weight = 250\n"
			       "cap = 150\n"
			       "on-triple-fault = reset\n"
			       "console = uart\n"),
			 0);
	assert_string_equal(capture_text(), "");
	assert_int_equal(cfg.host.console, CONSOLE_COM2);
	assert_int_equal(cfg.host.idle, IDLE_STAY);
	assert_int_equal(cfg.host.log_level, LOG_WARN);
	assert_int_equal(cfg.host.mask, 3);
	assert_int_equal(cfg.host.unmask, 3);
	assert_int_equal(cfg.host.interrupts, INTERRUPTS_QUIET);
	assert_int_equal(cfg.host.selftest, SELFTEST_YES);
	assert_int_equal(cfg.host.io_cpu, 7);
	assert_true(cfg.host.exit_times);
	assert_int_equal(cfg.host.trace, KIB(16));
	assert_int_equal(cfg.vms, 1);
	assert_string_equal(vm->name, "debian-12.5_a");
	assert_int_equal(vm->line, 13);
	assert_int_equal(vm->cpus, 2);
	assert_int_equal(vm->cpus_line, 14);
	assert_int_equal(vm->memory, GIB(1));
	assert_int_equal(vm->memory_line, 15);
	assert_string_equal(vm->kernel, "sub/vmlinuz");
	assert_int_equal(vm->kernel_line, 16);
	assert_string_equal(vm->initrd, "initrd.img");
	assert_int_equal(vm->initrd_line, 17);
	assert_string_equal(vm->cmdline, "root=/dev/vda1 a#b   quiet");
	assert_int_equal(vm->restart, RESTART_ON_CRASH);
	assert_int_equal(vm->on_triple_fault, TRIPLE_FAULT_RESETS);
	assert_int_equal(vm->hide, 12);
	assert_int_equal(vm->debug_exit, 0xf4);
	assert_int_equal(vm->pin.count, 2);
	assert_int_equal(vm->pin.cpu[0], 3);
	assert_int_equal(vm->pin.cpu[1], 1);
	assert_int_equal(vm->pin_line, 22);
	assert_int_equal(vm->weight, 250);
	assert_int_equal(vm->cap, 150);
	assert_int_equal(vm->cap_line, 24);
	assert_int_equal(vm->console, VM_CONSOLE_UART);
	assert_false(vm->bad);
}

/* What is left out has the default that docs/configuration.md names. */
static void test_defaults(void **state)
{
	const struct vm_config *vm = &cfg.vm[0];

	(void)state;
	memset(&cfg, 0xff, sizeof(cfg));
	assert_int_equal(parse("[vm a]\nkernel = k"), 0);
	assert_int_equal(cfg.host.console, CONSOLE_AUTO);
	assert_int_equal(cfg.host.idle, IDLE_POWEROFF);
	assert_int_equal(cfg.host.log_level, LOG_INFO);
	assert_int_equal(cfg.host.mask, 0);
	assert_int_equal(cfg.host.unmask, 0);
	assert_int_equal(cfg.host.interrupts, INTERRUPTS_AUTO);
	assert_int_equal(cfg.host.selftest, SELFTEST_NO);
	assert_int_equal(cfg.host.io_cpu, -1);
	assert_false(cfg.host.exit_times);
	assert_int_equal(cfg.host.trace, 0);
	assert_int_equal(cfg.vms, 1);
	assert_int_equal(vm->cpus, 1);
	assert_int_equal(vm->cpus_line, 0);
	assert_int_equal(vm->memory, MIB(256));
	assert_string_equal(vm->cmdline, "console=ttyS0,115200");
	assert_string_equal(vm->initrd, "");
	assert_int_equal(vm->initrd_line, 0);
	assert_int_equal(vm->restart, RESTART_NEVER);
	assert_int_equal(vm->on_triple_fault, TRIPLE_FAULT_CRASHES);
	assert_int_equal(vm->debug_exit, 0);
	assert_int_equal(vm->pin.count, 0);
	assert_int_equal(vm->weight, 100);
	assert_int_equal(vm->cap, 0);
	assert_int_equal(vm->console, VM_CONSOLE_VIRTIO);
	assert_null(vm->kernel_file.data);
	assert_false(vm->bad);
}

struct one_error {
	const char *text;
	const char *message;
};

static const struct one_error vm_errors[] = {
	{ "memory = 12X", "3: memory = 12X: bad size: expected a number with K, M or G" },
	{ "memory = 12", "3: memory = 12: bad size: expected a number with K, M or G" },
	{ "memory = M", "3: memory = M: bad size: expected a number with K, M or G" },
	{ "memory = 12MB", "3: memory = 12MB: bad size: expected a number with K, M or G" },
	{ "memory = -1M", "3: memory = -1M: bad size: expected a number with K, M or G" },
	{ "memory = 1 M", "3: memory = 1 M: bad size: expected a number with K, M or G" },
	{ "memory = 14M", "3: memory = 14M: too small: expected at least 16M" },
	{ "memory = 0G", "3: memory = 0G: too small: expected at least 16M" },
	{ "memory = 17M", "3: memory = 17M: not a multiple of 2M" },
	{ "memory = 65537G", "3: memory = 65537G: too large: expected at most 65536G" },
	{ "memory = 18446744073709551617K",
	  "3: memory = 18446744073709551617K: too large: expected at most 65536G" },
	{ "memory = 99999999999999999999999G",
	  "3: memory = 99999999999999999999999G: too large: expected at most 65536G" },
	{ "cpus = 0", "3: cpus = 0: bad number: expected 1 to 16" },
	{ "cpus = 17", "3: cpus = 17: bad number: expected 1 to 16" },
	{ "cpus = two", "3: cpus = two: bad number: expected 1 to 16" },
	{ "cpus = 2,3", "3: cpus = 2,3: bad number: expected 1 to 16" },
	{ "cpus = 0x", "3: cpus = 0x: bad number: expected 1 to 16" },
	{ "cpus = 18446744073709551617",
	  "3: cpus = 18446744073709551617: bad number: expected 1 to 16" },
	{ "debug-exit = 0", "3: debug-exit = 0: bad port: expected a number from 0x1 to 0xffff" },
	{ "debug-exit = 0x10000",
	  "3: debug-exit = 0x10000: bad port: expected a number from 0x1 to 0xffff" },
	{ "debug-exit = f4", "3: debug-exit = f4: bad port: expected a number from 0x1 to 0xffff" },
	{ "restart = maybe",
	  "3: restart = maybe: unknown word: expected never or on-crash or always" },
	{ "restart = Never",
	  "3: restart = Never: unknown word: expected never or on-crash or always" },
	{ "console = tty", "3: console = tty: unknown word: expected virtio or uart" },
	{ "hide = x2apic, nope", "3: hide = x2apic, nope: unknown feature nope" },
	{ "hide = x2apic,, pv", "3: hide = x2apic,, pv: an empty name: expected NAME, NAME, ..." },
	{ "hide = x2apic,", "3: hide = x2apic,: an empty name: expected NAME, NAME, ..." },
	{ "hide = vid", "3: hide = vid: unknown feature vid" },
	{ "initrd = caf\xc3\xa9",
	  "3: initrd = caf\xc3\xa9: bad file name: expected ASCII characters" },
	{ "initrd =", "3: initrd: the value is empty" },
	{ "memory = # 12M", "3: memory: the value is empty" },
	{ "pin = 2 3", "3: pin = 2 3: bad list: expected CPUs from 0 to 63, as in 1-2 or 1,3" },
	{ "pin = 64", "3: pin = 64: bad list: expected CPUs from 0 to 63, as in 1-2 or 1,3" },
	{ "pin = 2-1", "3: pin = 2-1: a range that goes down: expected FIRST-LAST" },
	{ "pin = 1,1", "3: pin = 1,1: a CPU is named twice: expected one for each vCPU" },
	{ "pin = 1-17", "3: pin = 1-17: too many CPUs: expected at most 16" },
	{ "pin = 1,2", "3: pin = 1-2: 2 for 1 vCPU: expected a CPU for each" },
	{ "pin = 2\ncpus = 3", "3: pin = 2: 1 for 3 vCPUs: expected a CPU for each" },
	{ "pin = 1-2\ncpus = 0", "4: cpus = 0: bad number: expected 1 to 16" },
	{ "pin = 9", "3: pin = 9: CPU 9 is the io-cpu, by line 8: expected another one" },
	{ "after = b",
	  "3: after = b: there is no such VM above: expected [vm b] above this section" },
	{ "after = a",
	  "3: after = a: there is no such VM above: expected [vm a] above this section" },
	{ "timeout = 0", "3: timeout = 0: bad number: expected seconds, 1 to 86400" },
	{ "timeout = 1m", "3: timeout = 1m: bad number: expected seconds, 1 to 86400" },
	{ "timeout = 86401", "3: timeout = 86401: bad number: expected seconds, 1 to 86400" },
	{ "needs = vid, nope", "3: needs = vid, nope: unknown feature nope" },
	{ "needs = vid,", "3: needs = vid,: an empty name: expected NAME, NAME, ..." },
	{ "disk = sda", "3: disk = sda: unknown kind of disk: expected part:NAME, ram:SIZE or "
			"file:PATH" },
	{ "disk = ram:64", "3: disk = ram:64: bad size: expected a number with K, M or G" },
	{ "disk = ram:", "3: disk = ram:: bad size: expected a number with K, M or G" },
	{ "disk = ram:3K", "3: disk = ram:3K: too small: expected at least 4K" },
	{ "disk = ram:65537G", "3: disk = ram:65537G: too large: expected at most 65536G" },
	{ "disk = ram:64M,rw", "3: disk = ram:64M,rw: unknown option rw: expected ro, or none" },
	{ "disk = ram:64M,", "3: disk = ram:64M,: unknown option : expected ro, or none" },
	{ "disk = ram:64M,ro,x", "3: disk = ram:64M,ro,x: unknown option x: expected ro, or none" },
	{ "disk = part:", "3: disk = part:: an empty name: expected part:LABEL or part:PARTUUID" },
	{ "disk = file:,ro", "3: disk = file:,ro: an empty name: expected file:PATH" },
	{ "disk = file:caf\xc3\xa9",
	  "3: disk = file:caf\xc3\xa9: bad file name: expected ASCII characters" },
	{ "disk = ram:1M\ndisk = ram:1M\ndisk = ram:1M\ndisk = ram:1M\ndisk = ram:1M",
	  "7: disk: too many of them: expected at most 4" },
	{ "disk = part:x\ndisk = part:x,ro",
	  "4: disk = part:x: it is a's already, by line 3: expected another one, or ,ro in both" },
	{ "net = lan9",
	  "3: net = lan9: there is no such switch: expected a section [switch lan9]" },
	{ "net = ,vlan=1", "3: net = ,vlan=1: an empty name: expected "
			   "SWITCH[,mac=..][,vlan=N][,rate=N]" },
	{ "net = lan0,mac=02:00:00:00:00", "3: net = lan0,mac=02:00:00:00:00: bad MAC address "
					   "02:00:00:00:00: expected six bytes, as in "
					   "02:00:00:00:00:01" },
	{ "net = lan0,mac=02:00:00:00:00:01:02",
	  "3: net = lan0,mac=02:00:00:00:00:01:02: bad MAC address 02:00:00:00:00:01:02: expected "
	  "six bytes, as in 02:00:00:00:00:01" },
	{ "net = lan0,mac=02:00:00:00:00:0g",
	  "3: net = lan0,mac=02:00:00:00:00:0g: bad MAC address 02:00:00:00:00:0g: expected "
	  "six bytes, as in 02:00:00:00:00:01" },
	{ "net = lan0,mac=03:00:00:00:00:01",
	  "3: net = lan0,mac=03:00:00:00:00:01: 03:00:00:00:00:01 is a multicast address: expected "
	  "an even first byte" },
	{ "net = lan0,mac=00:00:00:00:00:00",
	  "3: net = lan0,mac=00:00:00:00:00:00: a MAC address of zeroes: expected one of a device, "
	  "as in 02:00:00:00:00:01" },
	{ "net = lan0,vlan=0", "3: net = lan0,vlan=0: bad VLAN 0: expected 1 to 4094" },
	{ "net = lan0,vlan=4095", "3: net = lan0,vlan=4095: bad VLAN 4095: expected 1 to 4094" },
	{ "net = lan0,rate=10", "3: net = lan0,rate=10: bad rate 10: expected bits a second as a "
				"number with K, M or G" },
	{ "net = lan0,rate=0M", "3: net = lan0,rate=0M: bad rate 0M: expected 1K to 1000G" },
	{ "net = lan0,rate=1001G",
	  "3: net = lan0,rate=1001G: bad rate 1001G: expected 1K to 1000G" },
	{ "net = lan0,rate=99999999999999999999G", "3: net = lan0,rate=99999999999999999999G: bad "
						   "rate 99999999999999999999G: expected 1K to "
						   "1000G" },
	{ "net = lan0,mtu=9000",
	  "3: net = lan0,mtu=9000: unknown option mtu=9000: expected mac=, vlan= or rate=" },
	{ "net = lan0,vlan=1,vlan=2", "3: net = lan0,vlan=1,vlan=2: vlan= given twice" },
	{ "net = lan0,mac=02:00:00:00:00:01\nnet = lan0,mac=02:00:00:00:00:01",
	  "4: net = lan0: a's MAC address 02:00:00:00:00:01 is the one of line 3: expected another "
	  "one" },
	{ "net = lan0\nnet = lan0\nnet = lan0\nnet = lan0\nnet = lan0",
	  "7: net: too many of them: expected at most 4" },
	{ "uplink = auto", "3: uplink: unknown key in this section: it belongs in [switch NAME]" },
	{ "weight = 0", "3: weight = 0: bad number: expected 1 to 10000" },
	{ "weight = 10001", "3: weight = 10001: bad number: expected 1 to 10000" },
	{ "weight = -1", "3: weight = -1: bad number: expected 1 to 10000" },
	{ "weight = 50%", "3: weight = 50%: bad number: expected 1 to 10000" },
	{ "cap = 1601", "3: cap = 1601: bad number: expected percent of one CPU, 0 to 1600" },
	{ "cap = 50%", "3: cap = 50%: bad number: expected percent of one CPU, 0 to 1600" },
	{ "cap = 101", "3: cap = 101: more than 1 vCPU can use: expected at most 100" },
	{ "cap = 201\ncpus = 2", "3: cap = 201: more than 2 vCPUs can use: expected at most 200" },
	{ "memroy = 12M", "3: memroy: unknown key: did you mean memory?" },
	{ "cpu = 2", "3: cpu: unknown key: did you mean cpus?" },
	{ "debugexit = 2", "3: debugexit: unknown key: did you mean debug-exit?" },
	{ "Kernel = k", "3: Kernel: unknown key: did you mean kernel?" },
	{ "frobnicate = 2", "3: frobnicate: unknown key in [vm NAME]" },
	{ "a-key-that-is-longer-than-any-other = 2",
	  "3: a-key-that-is-longer-than-any-other: unknown key in [vm NAME]" },
	{ "idle = stay", "3: idle: unknown key in this section: it belongs in [lintel]" },
	{ "kernel = other", "3: kernel: given twice, first in line 2" },
	{ "quiet", "3: quiet: expected KEY = VALUE or [SECTION]" },
	{ "= 3", "3: = 3: expected KEY = VALUE or [SECTION]" },
	{ "cmdline = a\x01z", "3: control character 0x01 in the line: expected text" },
	{ "cmdline = a\rz", "3: control character 0x0d in the line: expected text" },
};

static void assert_one_error(const char *message)
{
	char expected[512];

	snprintf(expected, sizeof(expected), "lintel: error: lintel.conf:%s\n", message);
	assert_string_equal(capture_text(), expected);
}

/* Every kind of wrong line in a [vm]: one exact message, that VM bad, the next one not. */
static void test_vm_errors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vm_errors); i++) {
		char text[512];

		snprintf(text, sizeof(text),
			 "[vm a]\nkernel = k\n%s\n[vm b]\nkernel = k\n"
			 "[switch lan0]\n[lintel]\nio-cpu = 9\n",
			 vm_errors[i].text);
		assert_int_equal(parse(text), 1);
		assert_one_error(vm_errors[i].message);
		assert_int_equal(cfg.vms, 2);
		assert_true(cfg.vm[0].bad);
		assert_false(cfg.vm[1].bad);
	}
}

static const struct one_error lintel_errors[] = {
	{ "summary = 0", "2: summary = 0: bad number: expected seconds, 1 to 3600" },
	{ "summary = yes", "2: summary = yes: bad number: expected seconds, 1 to 3600" },
	{ "console = com3",
	  "2: console = com3: unknown word: expected auto or com1 or com2 or framebuffer" },
	{ "idle = sleep", "2: idle = sleep: unknown word: expected poweroff or reboot or stay" },
	{ "log = all", "2: log = all: unknown word: expected error or warning or info or debug" },
	{ "selftest = 1", "2: selftest = 1: unknown word: expected yes or no or drivers" },
	{ "io-cpu = 64", "2: io-cpu = 64: bad number: expected a CPU from 0 to 63" },
	{ "exit-times = 1", "2: exit-times = 1: unknown word: expected yes or no" },
	{ "trace = yes", "2: trace = yes: bad size: expected a number with K, M or G" },
	{ "trace = 2K", "2: trace = 2K: bad size: expected 4K to 1M, a power of two" },
	{ "trace = 12K", "2: trace = 12K: bad size: expected 4K to 1M, a power of two" },
	{ "trace = 2M", "2: trace = 2M: bad size: expected 4K to 1M, a power of two" },
	{ "io-cpu = none", "2: io-cpu = none: bad number: expected a CPU from 0 to 63" },
	{ "disk = ram:1M", "2: disk: unknown key in this section: it belongs in [vm NAME]" },
	{ "mask = profile:x", "2: mask = profile:x: unknown feature profile:x" },
	{ "errata-ignore = pv", "2: errata-ignore = pv: unknown feature pv" },
	{ "interrupts = loud",
	  "2: interrupts = loud: unknown word: expected auto or software or quiet" },
	{ "mask =", "2: mask: the value is empty" },
	{ "idel = stay", "2: idel: unknown key: did you mean idle?" },
	{ "memory = 12M", "2: memory: unknown key in this section: it belongs in [vm NAME]" },
};

/* A wrong line in [lintel] keeps the default and harms no VM. */
static void test_lintel_errors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lintel_errors); i++) {
		char text[512];

		snprintf(text, sizeof(text), "[lintel]\n%s\n[vm a]\nkernel = k\n",
			 lintel_errors[i].text);
		assert_int_equal(parse(text), 1);
		assert_one_error(lintel_errors[i].message);
		assert_int_equal(cfg.host.console, CONSOLE_AUTO);
		assert_int_equal(cfg.host.idle, IDLE_POWEROFF);
		assert_int_equal(cfg.host.log_level, LOG_INFO);
		assert_int_equal(cfg.host.mask | cfg.host.unmask, 0);
		assert_int_equal(cfg.host.selftest, SELFTEST_NO);
		assert_int_equal(cfg.host.io_cpu, -1);
		assert_int_equal(cfg.vms, 1);
		assert_false(cfg.vm[0].bad);
	}
}

#define GOOD_VM "[vm a]\nkernel = k\n"

static const struct one_error section_errors[] = {
	{ GOOD_VM "[vm]\nx = y\nz",
	  "3: [vm ]: bad name: expected characters of A-Z a-z 0-9 _ . -" },
	{ GOOD_VM "[vm b c]", "3: [vm b c]: bad name: expected characters of A-Z a-z 0-9 _ . -" },
	{ GOOD_VM "[vm b/c]\nkernel = k",
	  "3: [vm b/c]: bad name: expected characters of A-Z a-z 0-9 _ . -" },
	{ GOOD_VM "[vm a234567890123456789012345678901x]",
	  "3: [vm a234567890123456789012345678901x...]: the name is too long: "
	  "expected at most 31 characters" },
	{ GOOD_VM "[vm a]\ncpus = 99", "3: [vm a]: there is one already, in line 1" },
	{ GOOD_VM "[lintel]\n[lintel]\nidle = reboot",
	  "4: [lintel]: there is one already, in line 3" },
	{ GOOD_VM "[switch]\nx = y",
	  "3: [switch ]: bad name: expected characters of A-Z a-z 0-9 _ . -" },
	{ GOOD_VM "[switch s]\n[switch s]\nuplink = nonsense",
	  "4: [switch s]: there is one already, in line 3" },
	{ GOOD_VM "[switch s]\nuplink = eth0", "4: uplink = eth0: no network card's name: expected "
					       "auto, a PCI address as in 00:02.0, or "
					       "a MAC address" },
	{ GOOD_VM "[switch s]\nuplink = 00:20.0", "4: uplink = 00:20.0: no network card's name: "
						  "expected auto, a PCI address as in 00:02.0, "
						  "or a MAC address" },
	{ GOOD_VM "[switch s]\nuplink = 01:00:5e:00:00:01",
	  "4: uplink = 01:00:5e:00:00:01: no network card's name: expected auto, a PCI address as "
	  "in 00:02.0, or a MAC address" },
	{ GOOD_VM "[switch s]\nuplink = 0000:00:1F.6\n[switch t]\nuplink = 00:1f.6",
	  "6: uplink = 00:1f.6: it is [switch s]'s already, by line 4: expected another one" },
	{ GOOD_VM "[switch s]\nuplnk = auto", "4: uplnk: unknown key: did you mean uplink?" },
	{ GOOD_VM "[vms]",
	  "3: [vms]: unknown section: expected [lintel], [switch NAME] or [vm NAME]" },
	{ GOOD_VM "[lintel x]",
	  "3: [lintel]: unknown section: expected [lintel], [switch NAME] or [vm NAME]" },
	{ GOOD_VM "[]", "3: []: unknown section: expected [lintel], [switch NAME] or [vm NAME]" },
	{ GOOD_VM "[", "3: [: expected ] at the end" },
	{ GOOD_VM "[vm b\nkernel = k", "3: [vm b: expected ] at the end" },
	{ "cpus = 1\n" GOOD_VM,
	  "1: cpus: outside of a section: expected [lintel], [switch NAME] or [vm NAME] above it" },
	{ GOOD_VM "[vm b]\ncpus = 1", "3: [vm b]: it has no kernel: expected kernel = FILE" },
	{ "[lintel]\n", ": there is no VM: expected a section [vm NAME]" },
};

/* A wrong section is one error whatever follows it, and the VM of another section stays good. */
static void test_section_errors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(section_errors); i++) {
		const struct one_error *e = &section_errors[i];
		char expected[512];

		assert_int_equal(parse(e->text), 1);
		if (e->message[0] == ':') {
			snprintf(expected, sizeof(expected), "lintel: error: lintel.conf%s\n",
				 e->message);
			assert_string_equal(capture_text(), expected);
			continue;
		}
		assert_one_error(e->message);
		assert_string_equal(cfg.vm[0].name, "a");
		assert_false(cfg.vm[0].bad);
		assert_int_equal(cfg.host.idle, IDLE_POWEROFF);
	}
}

/* Two VMs may not have the same CPU: the second one is refused, whichever of its CPUs it is. */
static void test_pinned_twice(void **state)
{
	(void)state;
	assert_int_equal(parse("[vm a]\nkernel = k\ncpus = 2\npin = 1-2\n"
			       "[vm b]\nkernel = k\ncpus = 3\npin = 4,3,2\n"
			       "[vm c]\nkernel = k\npin = 5\n"),
			 1);
	assert_one_error("8: pin = 4,3,2: CPU 2 is a's already, by line 4: expected another one");
	assert_false(cfg.vm[0].bad);
	assert_true(cfg.vm[1].bad);
	assert_false(cfg.vm[2].bad);
}

/* Disks and networks, each option into its own field; they may stand several times, in their order. */
static void test_devices(void **state)
{
	const struct vm_config *vm = &cfg.vm[0];

	(void)state;
	assert_int_equal(parse("[switch lan0]\nuplink = 02:00:00:00:AB:cd\n"
			       "[vm a]\nkernel = k\n"
			       "disk = part:debian root , ro\n"
			       "net = lan1,rate=2m , vlan=4094,mac=52:54:00:12:34:56\n"
			       "disk = ram:4K\n"
			       "disk = file:sub/disk.img\n"
			       "net = lan0\n"
			       "disk = part:caf\xc3\xa9\n"
			       "[switch lan1]\n"),
			 0);
	assert_string_equal(capture_text(), "");
	assert_int_equal(cfg.switches, 2);
	assert_string_equal(cfg.sw[0].name, "lan0");
	assert_string_equal(cfg.sw[0].uplink, "02:00:00:00:ab:cd");
	assert_int_equal(cfg.sw[0].line, 1);
	assert_int_equal(cfg.sw[0].uplink_line, 2);
	assert_string_equal(cfg.sw[1].uplink, "");
	assert_int_equal(vm->disks, 4);
	assert_int_equal(vm->disk[0].kind, DISK_PART);
	assert_string_equal(vm->disk[0].what, "debian root");
	assert_true(vm->disk[0].read_only);
	assert_int_equal(vm->disk[0].line, 5);
	assert_int_equal(vm->disk[1].kind, DISK_RAM);
	assert_int_equal(vm->disk[1].size, 4096);
	assert_false(vm->disk[1].read_only);
	assert_int_equal(vm->disk[1].line, 7);
	assert_int_equal(vm->disk[2].kind, DISK_FILE);
	assert_string_equal(vm->disk[2].what, "sub/disk.img");
	assert_string_equal(vm->disk[3].what, "caf\xc3\xa9");
	assert_int_equal(vm->nets, 2);
	assert_string_equal(vm->net[0].on, "lan1");
	assert_int_equal(vm->net[0].index, 1);
	assert_int_equal(vm->net[0].rate, 2000000);
	assert_int_equal(vm->net[0].vlan, 4094);
	assert_true(vm->net[0].mac_given);
	assert_memory_equal(vm->net[0].mac, "\x52\x54\x00\x12\x34\x56", 6);
	assert_int_equal(vm->net[0].line, 6);
	assert_int_equal(vm->net[1].index, 0);
	assert_int_equal(vm->net[1].rate, 0);
	assert_int_equal(vm->net[1].vlan, 0);
	assert_false(vm->net[1].mac_given);
}

/* Addresses that nobody has given: the same at each start, of one device alone, local and of no group. */
static void test_default_macs(void **state)
{
	u8 first[4][6];

	(void)state;
	for (int round = 0; round < 2; round++) {
		assert_int_equal(parse("[switch s]\n[vm a]\nkernel = k\nnet = s\nnet = s\n"
				       "[vm b]\nkernel = k\nnet = s\nnet = s\n"),
				 0);
		for (int i = 0; i < 4; i++) {
			const u8 *mac = cfg.vm[i / 2].net[i % 2].mac;

			assert_int_equal(mac[0] & 3, 2);
			if (round)
				assert_memory_equal(mac, first[i], 6);
			memcpy(first[i], mac, 6);
			for (int j = 0; j < i; j++)
				assert_memory_not_equal(first[i], first[j], 6);
		}
	}
}

/* What two VMs cannot both have: the second one is refused. Readers may share. */
static void test_devices_twice(void **state)
{
	(void)state;
	assert_int_equal(parse("[vm a]\nkernel = k\ndisk = part:x,ro\n"
			       "[vm b]\nkernel = k\ndisk = part:x,ro\n"
			       "[vm c]\nkernel = k\ndisk = part:x\n"),
			 1);
	assert_one_error("9: disk = part:x: it is a's already, by line 3: expected another one, or "
			 ",ro in both");
	assert_false(cfg.vm[0].bad || cfg.vm[1].bad);
	assert_true(cfg.vm[2].bad);
	assert_int_equal(parse("[switch s]\n[switch t]\n"
			       "[vm a]\nkernel = k\nnet = s,mac=02:00:00:00:00:aa\n"
			       "[vm b]\nkernel = k\nnet = t,mac=02:00:00:00:00:AA\n"),
			 1);
	assert_one_error("8: net = t: b's MAC address 02:00:00:00:00:aa is the one of line 5: "
			 "expected another one");
	assert_false(cfg.vm[0].bad);
	assert_true(cfg.vm[1].bad);
}

/* A switch with a wrong line takes those with it that are on it, and nobody else; one message says why. */
static void test_bad_switch(void **state)
{
	(void)state;
	assert_int_equal(parse("[vm a]\nkernel = k\nnet = s\n[switch s]\nuplink = eth0\n"
			       "[vm b]\nkernel = k\nnet = t\n[switch t]\nuplink = auto\n"),
			 1);
	assert_true(cfg.sw[0].bad && cfg.vm[0].bad);
	assert_false(cfg.sw[1].bad || cfg.vm[1].bad);
	assert_int_equal(parse("[vm a]\nkernel = k\n"
			       "[switch s1]\n[switch s2]\n[switch s3]\n[switch s4]\n[switch s5]\n"
			       "[switch s6]\n[switch s7]\n[switch s8]\n[switch s9]\n"),
			 1);
	assert_one_error("11: [switch s9]: too many switches: expected at most 8");
}

/* As much as there may be of each. */
static void test_largest(void **state)
{
	(void)state;
	assert_int_equal(parse("[vm a]\nkernel = k\ncpus = 16\npin = 48-63\nweight = 10000\n"
			       "cap = 1600\n"),
			 0);
	assert_int_equal(cfg.vm[0].pin.cpu[15], 63);
	assert_int_equal(cfg.vm[0].weight, 10000);
	assert_int_equal(cfg.vm[0].cap, 1600);
	assert_int_equal(parse("[lintel]\nselftest = drivers\nio-cpu = 0\ntrace = 1M\n[vm "
			       "a]\nkernel = k\nweight = 1\n"
			       "cap = 0\npin = 1\n"),
			 0);
	assert_int_equal(cfg.host.selftest, SELFTEST_DRIVERS);
	assert_int_equal(cfg.host.io_cpu, 0);
	assert_int_equal(cfg.host.trace, MIB(1));
	assert_int_equal(cfg.vm[0].weight, 1);
}

/* Bytes that editors of other systems leave: BOM, CRLF, no last newline; and NUL, UTF-16. */
static void test_encodings(void **state)
{
	static const char nul[] = "[vm a]\nkernel = k\ncmdline = a\0b\n";
	static const char utf16[] = "\xff\xfe[\0v\0m\0";

	(void)state;
	assert_int_equal(parse("\xef\xbb\xbf[vm a]\r\nkernel = k\r\ncpus = 3"), 0);
	assert_string_equal(cfg.vm[0].kernel, "k");
	assert_int_equal(cfg.vm[0].cpus, 3);
	assert_int_equal(parse_bytes(nul, sizeof(nul) - 1), 1);
	assert_one_error("3: control character 0x00 in the line: expected text");
	assert_int_equal(parse_bytes(utf16, sizeof(utf16) - 1), 1);
	assert_string_equal(capture_text(), "lintel: error: lintel.conf: it is UTF-16: expected "
					    "UTF-8 or ASCII\n");
	assert_int_equal(parse("[vm a]\nkernel = k # caf\xc3\xa9\ncmdline = caf\xc3\xa9\n"), 0);
	assert_string_equal(cfg.vm[0].cmdline, "caf\xc3\xa9");
	assert_int_equal(parse(""), 1);
	assert_int_equal(parse("[vm a]\nkernel = k\ncmdline =\n"), 0);
	assert_string_equal(cfg.vm[0].cmdline, "");
}

/* A line, "KEY = xxx...", whose value is @len bytes long, in a good VM. */
static unsigned int parse_long(const char *key, size_t len)
{
	static char text[CONFIG_MAX_SIZE + 64];
	int start = snprintf(text, sizeof(text), GOOD_VM "%s = ", key);

	memset(text + start, 'x', len);
	return parse_bytes(text, (size_t)start + len);
}

/* The longest value that fits is taken whole; one byte more is refused, not cut. */
static void test_lengths(void **state)
{
	(void)state;
	assert_int_equal(parse_long("cmdline", CONFIG_CMD_LEN - 1), 0);
	assert_int_equal(strlen(cfg.vm[0].cmdline), CONFIG_CMD_LEN - 1);
	assert_int_equal(parse_long("cmdline", CONFIG_CMD_LEN), 1);
	assert_non_null(
		strstr(capture_text(), ": 2048 bytes are too long: expected at most 2047\n"));
	assert_int_equal(parse_long("initrd", CONFIG_PATH_LEN - 1), 0);
	assert_int_equal(strlen(cfg.vm[0].initrd), CONFIG_PATH_LEN - 1);
	assert_int_equal(parse_long("initrd", CONFIG_PATH_LEN), 1);
	assert_non_null(strstr(capture_text(), ": 128 bytes are too long: expected at most 127\n"));
	assert_int_equal(parse_long("cmdline", CONFIG_MAX_LINE - 10), 1);
	assert_non_null(
		strstr(capture_text(), ": 4085 bytes are too long: expected at most 2047\n"));
	assert_int_equal(parse_long("cmdline", CONFIG_MAX_LINE - 9), 1);
	assert_one_error("3: 4096 bytes are too long for a line: expected at most 4095");
	assert_true(cfg.vm[0].bad);
	assert_int_equal(parse_long("cmdline", CONFIG_MAX_SIZE), 1);
	assert_string_equal(capture_text(),
			    "lintel: error: lintel.conf: 262172 bytes are too large: "
			    "expected at most 262144\n");
}

/* Modules keep their order, their file's name and all of their text; what is wrong with one is said. */
static void test_modules(void **state)
{
	static char text[CONFIG_MAX_SIZE];
	size_t at = 0;

	(void)state;
	assert_int_equal(parse("[vm a]\nkernel = k\nmodule = dom0 console=hvc0  quiet # not "
			       "this\nmodule = b\n"),
			 0);
	assert_int_equal(cfg.vm[0].modules, 2);
	assert_string_equal(cfg.vm[0].module[0].path, "dom0");
	assert_string_equal(cfg.vm[0].module[0].text, "dom0 console=hvc0  quiet");
	assert_int_equal(cfg.vm[0].module[0].line, 3);
	assert_string_equal(cfg.vm[0].module[1].path, "b");
	assert_string_equal(cfg.vm[0].module[1].text, "b");
	assert_int_equal(parse_long("module", CONFIG_PATH_LEN - 1), 0);
	assert_int_equal(parse_long("module", CONFIG_PATH_LEN), 1);
	assert_non_null(
		strstr(capture_text(),
		       ": 128 bytes are too long: expected at most 511, the file's name 127\n"));
	assert_int_equal(parse(GOOD_VM "module = \xc3\xa9\n"), 1);
	assert_non_null(strstr(capture_text(), ": bad file name: expected ASCII characters\n"));
	assert_int_equal(
		parse(GOOD_VM "module = a\nmodule = b\nmodule = c\nmodule = d\nmodule = e\n"), 1);
	assert_one_error("7: module: too many of them: expected at most 4");

	/* Eight of the longest command lines fill the place that they share; a short one finds no room then. */
	for (unsigned int i = 0; i < 8; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at,
				       "[vm v%u]\nkernel = k\ncmdline = %0*d\n", i,
				       CONFIG_CMD_LEN - 1, 1);
	assert_int_equal(parse(text), 0);
	snprintf(text + at, sizeof(text) - at, "[vm last]\nkernel = k\nmodule = m\n");
	assert_int_equal(parse(text), 1);
	assert_one_error("27: module = m: all command lines and modules of a file have 16 KiB "
			 "together, which are used up");
	assert_true(cfg.vm[8].bad && !cfg.vm[7].bad);
}

/* One VM more than there is room for is refused by name; the others stay. */
static void test_too_many_vms(void **state)
{
	char text[4096];
	size_t len = 0;

	(void)state;
	for (int i = 0; i <= CONFIG_MAX_VMS; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "[vm v%d]\nkernel = k\n",
					i);
	assert_int_equal(parse(text), 1);
	assert_one_error("33: [vm v16]: too many VMs: expected at most 16");
	assert_int_equal(cfg.vms, CONFIG_MAX_VMS);
	assert_false(cfg.vm[CONFIG_MAX_VMS - 1].bad);
}

/* A file that is no configuration counts all its wrong lines, but shows only some. */
static void test_flood(void **state)
{
	char text[4096];
	unsigned int lines = 0;

	(void)state;
	for (size_t i = 0; i + 1 < sizeof(text); i += 2)
		memcpy(text + i, "x\n", 2);
	assert_int_equal(parse_bytes(text, sizeof(text)), sizeof(text) / 2);
	for (const char *c = capture_text(); *c; c++)
		lines += *c == '\n';
	assert_int_equal(lines, 41);
	assert_non_null(
		strstr(capture_text(), "lintel.conf:41: more errors, which are not shown\n"));
}

/* What is found out later (a missing file) is reported in the same form and makes the VM bad. */
static void test_later_error(void **state)
{
	(void)state;
	assert_int_equal(parse(GOOD_VM), 0);
	capture_start();
	config_vm_error(&cfg, &cfg.vm[0], cfg.vm[0].kernel_line, "kernel = %s: %s", "k", "gone");
	capture_stop();
	assert_one_error("2: kernel = k: gone");
	assert_int_equal(cfg.errors, 1);
	assert_true(cfg.vm[0].bad);
}

/* VMs one after the other, with a time-out each, and a summary of them. */
static void test_order(void **state)
{
	(void)state;
	assert_int_equal(parse("[lintel]\nsummary = 60\n[vm a]\nkernel = k\ntimeout = 5\n"
			       "[vm b]\nkernel = k\nneeds = smp, vpid\n"
			       "[vm c]\nkernel = k\nafter = b\n"),
			 0);
	assert_int_equal(cfg.host.summary, 60);
	assert_int_equal(cfg.vm[0].timeout, 5);
	assert_string_equal(cfg.vm[0].after, "");
	assert_int_equal(cfg.vm[0].needs, 0);
	assert_true(cfg.vm[1].needs == (CONFIG_NEEDS_SMP | 2));
	assert_int_equal(cfg.vm[1].timeout, 0);
	assert_int_equal(cfg.vm[2].after_vm, 1);
	/* One that cannot start has its place in the order all the same. */
	assert_int_equal(parse("[vm a]\nkernel = k\n[vm b]\nkernel = k\nafter = a\ncpus = 0\n"), 1);
	assert_true(cfg.vm[1].bad);
	assert_int_equal(cfg.vm[1].after_vm, 0);
	assert_string_equal(cfg.vm[1].after, "a");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_everything),     cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_vm_errors),      cmocka_unit_test(test_lintel_errors),
		cmocka_unit_test(test_section_errors), cmocka_unit_test(test_encodings),
		cmocka_unit_test(test_lengths),        cmocka_unit_test(test_too_many_vms),
		cmocka_unit_test(test_pinned_twice),   cmocka_unit_test(test_largest),
		cmocka_unit_test(test_flood),          cmocka_unit_test(test_later_error),
		cmocka_unit_test(test_devices),        cmocka_unit_test(test_default_macs),
		cmocka_unit_test(test_devices_twice),  cmocka_unit_test(test_bad_switch),
		cmocka_unit_test(test_order),          cmocka_unit_test(test_modules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
