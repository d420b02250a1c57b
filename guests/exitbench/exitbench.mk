# SPDX-License-Identifier: BSD-2-Clause
# The benchmark guest: build/exitbench.elf, a Multiboot image made of guests/exitbench/ and of what micro-guests share.

BENCH_ELF  := $(BUILD)/exitbench.elf
BENCH_OBJS := $(patsubst %.c,$(MICRO)/obj/%.c.o,$(sort $(wildcard guests/exitbench/*.c)))

.PHONY: exitbench
exitbench: $(BENCH_ELF)

$(BENCH_ELF): $(BENCH_OBJS) $(MICRO_LIB) guests/micro/lib/micro.lds
	$(say) MICRO $@
	$(Q)$(LD) -m elf_x86_64 -T guests/micro/lib/micro.lds -z max-page-size=4096 -z noexecstack --no-warn-rwx-segments -o $@64 $(filter %.o,$^)
	$(Q)objcopy -O elf32-i386 $@64 $@

-include $(BENCH_OBJS:.o=.d)
