/*
 * Bochs 3.1 as built by Debian with GCC 15 divides wrongly: 64-bit IDIV of 1000000000 by 1 gives 3410, since the
 * compiler may drop stores through a pointer cast between signed and unsigned structures. Linux dies of it at once.
 *
 * This library is preloaded into Bochs. With LINTEL_IDIV=check it calls the emulator's division, prints what it thinks of
 * it ("right", "wrong", "absent") and exits; otherwise it replaces the function by a correct one. The lab does the latter
 * only after the former said "wrong".
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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

static int divides_right(idiv_function *idiv)
{
	static const int64_t cases[][2] = {
		{ 1000000000, 1 }, { -7, 2 }, { 7, -2 }, { INT64_MIN, 3 }, { 1L << 40, 1000 }
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bit128 dividend = { (uint64_t)cases[i][0], cases[i][0] < 0 ? -1 : 0 };
		struct bit128 quotient = { 0x5555, 0x5555 };
		int64_t remainder = 0x5555;

		idiv(&quotient, &remainder, &dividend, cases[i][1]);
		if ((int64_t)quotient.lo != cases[i][0] / cases[i][1] ||
		    remainder != cases[i][0] % cases[i][1])
			return 0;
	}
	return 1;
}

static void replace(unsigned char *function)
{
	unsigned char jump[14] = { 0xff, 0x25, 0, 0, 0, 0 }; /* jmp *0(%rip), then the address */
	idiv_function *target = correct_idiv;
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t start = (uintptr_t)function & ~(page - 1);
	size_t size = (uintptr_t)function + sizeof(jump) - start;

	memcpy(jump + 6, &target, sizeof(target));
	if (mprotect((void *)start, size, PROT_READ | PROT_WRITE | PROT_EXEC) != 0) {
		perror("idiv-shim: mprotect");
		_exit(1);
	}
	memcpy(function, jump, sizeof(jump));
	mprotect((void *)start, size, PROT_READ | PROT_EXEC);
}

__attribute__((constructor)) static void start(void)
{
	void *symbol = dlsym(RTLD_DEFAULT, "_Z9long_idivP7Bit128sPlPKS_l");
	const char *mode = getenv("LINTEL_IDIV");
	idiv_function *idiv;

	memcpy(&idiv, &symbol, sizeof(idiv));
	if (mode && strcmp(mode, "check") == 0) {
		puts(!symbol ? "absent" : divides_right(idiv) ? "right" : "wrong");
		fflush(stdout);
		_exit(0);
	}
	if (symbol)
		replace(symbol);
}
