/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Three faults of Bochs 3.1 as Debian builds it, put right in memory. This library is preloaded into it.
 *
 * idiv: 64-bit IDIV of 1000000000 by 1 gives 3410, since GCC 15 may drop stores through a pointer cast between signed and
 * unsigned structures. Linux dies of it at once.
 *
 * resume: with several processors, an exit of VMX that follows an exception before the first instruction of its handler
 * (external interrupt, preemption timer) saves the RIP of the instruction that has faulted, with all other registers the
 * handler's: the loop for several processors does not note where execution goes on after an exception, as the loop for one
 * does. Linux guests die of it after some thousand page faults.
 *
 * count: with several processors, an instruction that ends in an exception or an exit of VMX is counted as the first
 * processor's, whichever executed it: GCC may take the variable that says which one for unchanged since setjmp. The shadow
 * of STI is kept as a number of instructions, so the first processor takes interrupts between STI and HLT once in some
 * hundred times, and sleeps on.
 *
 * With LINTEL_SHIM=check it prints what it finds, "idiv=W resume=W count=W" with W one of right, wrong and absent (this
 * program cannot be judged), and exits; else it mends what is wrong.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum finding { ABSENT, RIGHT, WRONG };
static const char *const words[] = { "absent", "right", "wrong" };

/* jmp *0(%rip), then the address. */
#define JUMP_SIZE 14

static void write_jump(unsigned char *at, const void *target)
{
	static const unsigned char jump[6] = { 0xff, 0x25 };

	memcpy(at, jump, sizeof(jump));
	memcpy(at + sizeof(jump), &target, sizeof(target));
}

static void write_code(unsigned char *at, const unsigned char *code, size_t len)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t start = (uintptr_t)at & ~(page - 1);
	size_t size = (uintptr_t)at + len - start;

	if (mprotect((void *)start, size, PROT_READ | PROT_WRITE | PROT_EXEC) != 0) {
		perror("bochs-shim: mprotect");
		_exit(1);
	}
	memcpy(at, code, len);
	mprotect((void *)start, size, PROT_READ | PROT_EXEC);
}

static void redirect(unsigned char *function, const void *target)
{
	unsigned char jump[JUMP_SIZE];

	write_jump(jump, target);
	write_code(function, jump, sizeof(jump));
}

/* --- idiv --- */

struct bit128 {
	uint64_t lo;
	int64_t hi;
};

typedef void idiv_function(struct bit128 *quotient, int64_t *remainder, struct bit128 *dividend,
			   int64_t divisor);

static void correct_idiv(struct bit128 *quotient, int64_t *remainder, struct bit128 *dividend,
			 int64_t divisor)
{
	__int128 value =
		(__int128)(((unsigned __int128)(uint64_t)dividend->hi << 64) | dividend->lo);
	__int128 result = value / divisor;

	quotient->lo = (uint64_t)result;
	quotient->hi = (int64_t)(result >> 64);
	*remainder = (int64_t)(value % divisor);
}

static enum finding judge_idiv(void *symbol)
{
	static const int64_t cases[][2] = {
		{ 1000000000, 1 }, { -7, 2 }, { 7, -2 }, { INT64_MIN, 3 }, { 1L << 40, 1000 }
	};
	idiv_function *idiv;

	if (!symbol)
		return ABSENT;
	memcpy(&idiv, &symbol, sizeof(idiv));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bit128 dividend = { (uint64_t)cases[i][0], cases[i][0] < 0 ? -1 : 0 };
		struct bit128 quotient = { 0x5555, 0x5555 };
		int64_t remainder = 0x5555;

		idiv(&quotient, &remainder, &dividend, cases[i][1]);
		if ((int64_t)quotient.lo != cases[i][0] / cases[i][1] ||
		    remainder != cases[i][0] % cases[i][1])
			return WRONG;
	}
	return RIGHT;
}

static void mend_idiv(unsigned char *function)
{
	idiv_function *correct = correct_idiv;
	const void *target;

	memcpy(&target, &correct, sizeof(target));
	redirect(function, target);
}

/* --- resume --- */

/* Offsets in a processor's structure: where it is, where it was before this instruction, RSP is to be restored. */
struct fields {
	uint32_t rip, prev_rip, speculative_rsp;
};

#define LOOP_SIZE 0x200 /* of cpu_loop, for one processor: looked through */
#define RUN_SIZE  0x80  /* of cpu_run_trace, for several */

/*
 * cpu_loop, after an exception: mov rip(%rdx), %rax; movb $0, speculative_rsp(%rdx);
 * mov %rax, prev_rip(%rdx).
 */
static int find_fields(const unsigned char *code, struct fields *f)
{
	for (size_t i = 0; i + 21 <= LOOP_SIZE; i++) {
		const unsigned char *at = code + i;

		if (memcmp(at, "\x48\x8b\x82", 3) || memcmp(at + 7, "\xc6\x82", 2) || at[13] ||
		    memcmp(at + 14, "\x48\x89\x82", 3))
			continue;
		memcpy(&f->rip, at + 3, 4);
		memcpy(&f->speculative_rsp, at + 9, 4);
		memcpy(&f->prev_rip, at + 17, 4);
		return 1;
	}
	return 0;
}

/*
 * cpu_run_trace begins with endbr64; sub $0x18, %rsp; mov async_event(%rdi), %eax: as much as a jump
 * takes, and the same anywhere else. It is wrong if it uses RIP and never mentions prev_rip.
 */
static enum finding judge_resume(const unsigned char *loop, const unsigned char *run,
				 struct fields *f)
{
	int uses_rip = 0;

	if (!loop || !run || !find_fields(loop, f) ||
	    memcmp(run, "\xf3\x0f\x1e\xfa\x48\x83\xec\x18\x8b\x87", 10))
		return ABSENT;
	for (size_t i = JUMP_SIZE; i < RUN_SIZE; i++) {
		if (!memcmp(run + i, &f->prev_rip, 4))
			return RIGHT;
		uses_rip |= !memcmp(run + i, &f->rip, 4);
	}
	return uses_rip ? WRONG : ABSENT;
}

static unsigned char *put(unsigned char *at, const char *opcode, size_t len, uint32_t offset)
{
	memcpy(at, opcode, len);
	memcpy(at + len, &offset, 4);
	return at + len + 4;
}

/* In front of each trace: what the loop for one processor does after an exception. */
static void mend_resume(unsigned char *run, const struct fields *f)
{
	unsigned char *stub = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char *at = stub;

	if (stub == MAP_FAILED) {
		perror("bochs-shim: mmap");
		_exit(1);
	}
	at = put(at, "\x48\x8b\x87", 3, f->rip);         /* mov rip(%rdi), %rax */
	at = put(at, "\x48\x89\x87", 3, f->prev_rip);    /* mov %rax, prev_rip(%rdi) */
	at = put(at, "\xc6\x87", 2, f->speculative_rsp); /* movb $0, speculative_rsp(%rdi) */
	*at++ = 0;
	memcpy(at, run, JUMP_SIZE);
	write_jump(at + JUMP_SIZE, run + JUMP_SIZE);
	redirect(run, stub);
}

/* --- count --- */

#define BEGIN_SIZE 0x600 /* of bx_begin_simulation: looked through */
#define COUNT_SIZE 42    /* of what is compared; the first NEW_SIZE bytes of it are replaced */
#define NEW_SIZE   29

/*
 * After setjmp, %rsi being the array of processors: test %eax, %eax; je 1f; mov (%rsi), %rax;
 * movb $0, run(%rsp); addq $1, icount(%rax); 1: mov (%rsi), %rdi; jmp LOOP; nopw;
 * movb $1, run(%rsp); mov icount(%rdi), %rax. Bytes that may differ are ff in the mask.
 */
static enum finding judge_count(unsigned char *begin, unsigned char **found)
{
	static const unsigned char code[COUNT_SIZE] =
		"\x85\xc0\x74\x10\x48\x8b\x06\xc6\x44\x24\x00\x00\x48\x83\x80\x00\x00\x00\x00\x01"
		"\x48\x8b\x3e\xeb\x00\x66\x0f\x1f\x44\x00\x00\xc6\x44\x24\x00\x01\x48\x8b\x87\x00"
		"\x00\x00";
	static const unsigned char mask[COUNT_SIZE] = {
		[10] = 0xff, [15] = 0xff, [16] = 0xff, [17] = 0xff, [18] = 0xff,
		[24] = 0xff, [34] = 0xff, [39] = 0xff, [40] = 0xff, [41] = 0xff,
	};

	for (size_t i = 0; begin && i + COUNT_SIZE + 32 <= BEGIN_SIZE; i++) {
		size_t n = 0;

		while (n < COUNT_SIZE && (begin[i + n] | mask[n]) == (code[n] | mask[n]))
			n++;
		/* Then: sub icount_last_sync(%rdi), %eax; cmove ...; add; mov processor(%rsp), %eax. */
		if (n == COUNT_SIZE && !memcmp(begin + i + 60, "\x8b\x44\x24", 3)) {
			*found = begin + i;
			return WRONG;
		}
	}
	return ABSENT;
}

/* The same with the array's element of ->processor, in place; what is not needed made room for it. */
static void mend_count(unsigned char *at)
{
	unsigned char new[NEW_SIZE], *p = new;

	*p++ = 0x85; /* test %eax, %eax */
	*p++ = 0xc0;
	*p++ = 0x74; /* je 1f */
	*p++ = 0x12;
	*p++ = 0x8b; /* mov processor(%rsp), %eax */
	*p++ = 0x44;
	*p++ = 0x24;
	*p++ = at[63];
	*p++ = 0x48; /* mov (%rsi,%rax,8), %rdi */
	*p++ = 0x8b;
	*p++ = 0x3c;
	*p++ = 0xc6;
	*p++ = 0x48; /* addq $1, icount(%rdi) */
	*p++ = 0x83;
	*p++ = 0x87;
	memcpy(p, at + 15, 4);
	p += 4;
	*p++ = 1;
	*p++ = 0xeb; /* jmp behind the nopw: without running it again */
	*p++ = 9;
	*p++ = 0x48; /* 1: mov (%rsi), %rdi */
	*p++ = 0x8b;
	*p++ = 0x3e;
	*p++ = 0xeb; /* jmp LOOP, 2 bytes nearer */
	*p++ = (unsigned char)(at[24] - 2);
	*p++ = 0x90;
	*p++ = 0x90;
	write_code(at, new, sizeof(new));
}

__attribute__((constructor)) static void start(void)
{
	void *begin = dlsym(RTLD_DEFAULT, "_Z19bx_begin_simulationiPPc");
	void *divide = dlsym(RTLD_DEFAULT, "_Z9long_idivP7Bit128sPlPKS_l");
	void *loop = dlsym(RTLD_DEFAULT, "_ZN8BX_CPU_C8cpu_loopEv");
	void *run = dlsym(RTLD_DEFAULT, "_ZN8BX_CPU_C13cpu_run_traceEv");
	const char *mode = getenv("LINTEL_SHIM");
	struct fields fields;
	unsigned char *counting = NULL;
	enum finding idiv = judge_idiv(divide), resume = judge_resume(loop, run, &fields);
	enum finding count = judge_count(begin, &counting);

	if (mode && strcmp(mode, "check") == 0) {
		printf("idiv=%s resume=%s count=%s\n", words[idiv], words[resume], words[count]);
		fflush(stdout);
		_exit(0);
	}
	if (idiv == WRONG)
		mend_idiv(divide);
	if (resume == WRONG)
		mend_resume(run, &fields);
	if (count == WRONG)
		mend_count(counting);
}
