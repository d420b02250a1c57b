/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the user asked for: lintel.conf, checked and in C. Filled by boot/config.c, read by the VMM.
 * docs/configuration.md is the reference of every key.
 */
#ifndef VMM_CONFIG_H
#define VMM_CONFIG_H

#include "lib/cpu_list.h"
#include "lib/types.h"

#define CONFIG_MAX_VMS        16
#define CONFIG_NAME_LEN       32
#define CONFIG_PATH_LEN       128
#define CONFIG_CMD_LEN        2048 /* Linux/x86 takes 2047 bytes and a NUL */
#define CONFIG_MODULE_LEN     512
#define CONFIG_TEXT_SIZE      KIB(16) /* of all command lines and modules together */
#define CONFIG_MAX_CPUS       16

#define CONFIG_MAX_DISKS      4 /* of one VM */
#define CONFIG_MAX_NETS       4 /* likewise */
#define CONFIG_MAX_MODULES    4
#define CONFIG_MAX_SWITCHES   8

#define CONFIG_WEIGHT_DEFAULT 100
#define CONFIG_WEIGHT_MAX     10000

#define CONFIG_TIMEOUT_MAX    86400 /* seconds that a VM may be given */
#define CONFIG_SUMMARY_MAX    3600  /* seconds that a summary stays on the screen */
#define CONFIG_NEEDS_SMP      BIT(63)

/* Bytes of a CPU's ring for the trace, a power of two. */
#define CONFIG_TRACE_MIN KIB(4)
#define CONFIG_TRACE_MAX MIB(1)

enum config_console { CONSOLE_AUTO, CONSOLE_COM1, CONSOLE_COM2, CONSOLE_FRAMEBUFFER };
enum config_idle { IDLE_POWEROFF, IDLE_REBOOT, IDLE_STAY };
enum config_vm_console { VM_CONSOLE_UART, VM_CONSOLE_VIRTIO };
enum config_interrupts { INTERRUPTS_AUTO, INTERRUPTS_SOFTWARE, INTERRUPTS_QUIET };
/* Nothing; page tables and EPTs are dumped and checked; the drivers of disks and NICs are tried out. */
enum config_selftest { SELFTEST_NO, SELFTEST_YES, SELFTEST_DRIVERS };
enum config_restart { RESTART_NEVER, RESTART_ON_CRASH, RESTART_ALWAYS };
enum config_triple_fault { TRIPLE_FAULT_CRASHES, TRIPLE_FAULT_RESETS };

/* What an access that Lintel cannot do ends: the instruction, by #UD, or the VM. */
enum config_unknown_access { UNKNOWN_ACCESS_FAULT, UNKNOWN_ACCESS_STOP };

/* In the bits of `hide`: features of CPUs stand below, those of virtio devices from here on. */
#define CONFIG_HIDE_VIRTIO_SHIFT 32

/*
 * Optional VT-x features that can be kept from use (`mask = ...`), and features of CPUs and virtio
 * devices that can be kept from a guest (`hide = ...`), are bits of their owners: vmx/features.h
 * and vmm/vcpu/hide.h. The parser resolves names through struct config_names.
 */
struct config_names {
	/* The bits that @name stands for (a feature or a profile:NAME), or 0 when it is unknown. */
	u64 (*mask_bits)(const char *name);
	u64 (*hide_bits)(const char *name);
};

struct host_config {
	enum config_console console;
	enum config_idle idle;
	u64 mask;   /* VT-x features not to use: BIT(enum vmx_feature) */
	u64 unmask; /* VT-x features to use in spite of an erratum (`errata-ignore = ...`) */
	enum config_interrupts interrupts; /* how guests get theirs */
	enum config_selftest selftest;     /* at start */
	int io_cpu; /* the physical CPU that serves virtqueues and devices, and runs no guest; -1: none */
	unsigned int io_cpu_line;
	bool exit_times; /* measure what exits take, from the start: inside.h */
	u32 summary;     /* at the end, and seconds to read it; 0: none */
	u64 trace;       /* bytes of each CPU's ring, traced from the start; 0: not */
	u8 log_level;    /* enum log_level, `log = error|warning|info|debug` */
};

/* A file that boot/ has read into memory of its own, which stays for ever. */
struct boot_file {
	const u8 *data; /* page-aligned; NULL when the VM names no such file */
	u64 size;       /* bytes */
};

/* `disk = KIND:WHAT[,ro]` */
enum disk_kind { DISK_RAM, DISK_FILE, DISK_PART };

struct disk_config {
	enum disk_kind kind;
	bool read_only;
	u64 size;                   /* DISK_RAM: bytes, a multiple of 512 */
	char what[CONFIG_PATH_LEN]; /* DISK_FILE: its path; DISK_PART: label or PARTUUID */
	unsigned int line;
	struct boot_file file; /* DISK_FILE: as read; the VM writes to a copy of its own */
};

/* `module = FILE ARGUMENTS`, for a Multiboot image */
struct module_config {
	const char *path; /* both in the configuration's text */
	const char *text; /* path and arguments */
	unsigned int line;
	struct boot_file file;
};

/* `net = SWITCH[,mac=...][,vlan=N][,rate=N]` */
struct net_config {
	char on[CONFIG_NAME_LEN]; /* the switch */
	unsigned int index;       /* of it in struct config */
	u8 mac[6]; /* given, or made from the VM's name and the number of the device */
	bool mac_given;
	u16 vlan; /* 1 to 4094; 0: none */
	u64 rate; /* bits a second; 0: no limit */
	unsigned int line;
};

/* `[switch NAME]` */
struct switch_config {
	char name[CONFIG_NAME_LEN];
	unsigned int line;
	char uplink
		[CONFIG_NAME_LEN]; /* empty: none; "auto", a PCI address 00:02.0, or a MAC address */
	unsigned int uplink_line;
	bool bad; /* as in struct vm_config; nor does a VM start that is on it */
};

struct vm_config {
	char name[CONFIG_NAME_LEN];
	unsigned int line; /* of its section in lintel.conf, for messages */
	unsigned int cpus;
	struct cpu_list pin; /* of each vCPU its own physical CPU; empty: they share the pool */
	u32 weight;          /* among the VMs that share the pool */
	u32 cap;             /* percent of one CPU that it may use at most; 0: no limit */
	u64 memory;          /* bytes, a multiple of 2 MiB */
	char kernel[CONFIG_PATH_LEN];
	char initrd[CONFIG_PATH_LEN];
	const char *cmdline; /* in the configuration's text, or a constant */
	enum config_restart restart;
	enum config_triple_fault on_triple_fault;
	enum config_vm_console console;
	enum config_unknown_access unknown_access;
	u64 hide;       /* kept from this guest: hide_bits() of vmm/vcpu/hide.h */
	u16 debug_exit; /* port, 0 = none */
	bool bad;       /* something in its section was wrong: not to be started */
	unsigned int memory_line, cpus_line, kernel_line, initrd_line; /* 0 = not given */
	unsigned int pin_line, cap_line;
	char after[CONFIG_NAME_LEN]; /* the VM whose end it waits for; empty: none */
	unsigned int after_line, after_vm;
	u32 timeout; /* seconds of a life, at most; 0: no limit */
	u64 needs;   /* BIT(enum vmx_feature)s and CONFIG_NEEDS_SMP: without them it is skipped */
	struct disk_config disk[CONFIG_MAX_DISKS];
	unsigned int disks;
	struct net_config net[CONFIG_MAX_NETS];
	unsigned int nets;
	struct module_config module[CONFIG_MAX_MODULES];
	unsigned int modules;
	struct boot_file kernel_file;
	struct boot_file initrd_file;
};

struct config {
	struct host_config host;
	struct vm_config vm[CONFIG_MAX_VMS];
	unsigned int vms;
	struct switch_config sw[CONFIG_MAX_SWITCHES];
	unsigned int switches;
	unsigned int errors; /* lines that were wrong, each one already printed */
	u32 text_used;
	char text[CONFIG_TEXT_SIZE]; /* of values that may be long */
};

#endif
