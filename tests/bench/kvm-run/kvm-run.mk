# SPDX-License-Identifier: BSD-2-Clause
# The other side of the comparison: a program that runs the benchmark guest under a Linux' KVM. Static, so that an initramfs can hold it.

KVM_RUN       := $(BUILD)/kvm-run
KVM_RUN_SRCS  := $(sort $(wildcard tests/bench/kvm-run/*.c))

.PHONY: kvm-run
kvm-run: $(KVM_RUN)

$(KVM_RUN): $(KVM_RUN_SRCS) tests/bench/kvm-run/kvm-run.h tests/bench/kvm-run/kvm-run.mk
	$(say) CC $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O2 -g -Wall -Wextra -Wshadow -Wmissing-prototypes -Wvla -Werror -pthread -static -o $@ $(KVM_RUN_SRCS)
