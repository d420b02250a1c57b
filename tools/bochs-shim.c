/*
 * Two faults of Bochs 3.1 as Debian builds it, put right in memory. This library is preloaded into it.
 *
 * idiv: 64-bit IDIV of 1000000000 by 1 gives 3410, since GCC 15 may drop stores through a pointer cast between signed and
 * unsigned structures. Linux dies of it at once.
 *
 * resume: with several processors, an exit of VMX that follows an exception before the first instruction of its handler
 * (external interrupt, preemption timer) saves the RIP of the instruction that has faulted, with all other registers the
 * handler's: the loop for several processors does not note where execution goes on after an exception, as the loop for one
 * does. Linux guests die of it after some thousand page faults.
 *
 * With LINTEL_SHIM=check it prints what it finds, "idiv=W resume=W" with W one of right, wrong and absent (this program
 * cannot be judged), and exits; else it mends what is wrong.
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

static void redirect(unsigned char *function, const void *target)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t start = (uintptr_t)function & ~(page - 1);
	size_t size = (uintptr_t)function + JUMP_SIZE - start;

	if (mprotect((void *)start, size, PROT_READ | PROT_WRITE | PROT_EXEC) != 0) {
		perror("bochs-shim: mprotect");
		_exit(1);
	}
	write_jump(function, target);
	mprotect((void *)start, size, PROT_READ | PROT_EXEC);
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

__attribute__((constructor)) static void start(void)
{
	void *divide = dlsym(RTLD_DEFAULT, "_Z9long_idivP7Bit128sPlPKS_l");
	void *loop = dlsym(RTLD_DEFAULT, "_ZN8BX_CPU_C8cpu_loopEv");
	void *run = dlsym(RTLD_DEFAULT, "_ZN8BX_CPU_C13cpu_run_traceEv");
	const char *mode = getenv("LINTEL_SHIM");
	struct fields fields;
	enum finding idiv = judge_idiv(divide), resume = judge_resume(loop, run, &fields);

	if (mode && strcmp(mode, "check") == 0) {
		printf("idiv=%s resume=%s\n", words[idiv], words[resume]);
		fflush(stdout);
		_exit(0);
	}
	if (idiv == WRONG)
		mend_idiv(divide);
	if (resume == WRONG)
		mend_resume(run, &fields);
}
