; SPDX-License-Identifier: BSD-2-Clause
; Into a guest and back, shaped like a call: vmx_run returns after an exit that is to be looked after.
;
; struct guest_regs doubles as the stack: it is popped on the way in and, since HOST_RSP points just
; behind it, pushed on the way out. Nothing else may use that stack: interrupts are off in between,
; and NMI, double fault and machine check have stacks of their own (IST).
;
; The VMM's own registers are saved once for all exits that are followed by an entry at once: no function
; is in the middle of anything then, and on_exit starts with none of the guest's values in a register.

bits 64
default rel

%include "lib/gprs.inc"

%define HOST_RSP_SLOT 15 * 8		; offsetof(struct guest_regs, host_rsp), asserted in vmx.h
%define ON_EXIT_SLOT  16 * 8		; and on_exit
%define EXIT_REASON   0x4402		; the field's encoding, likewise

section .text

; enum vmx_entry_result vmx_run(struct guest_regs *regs /* rdi */, bool launched /* sil */)
global vmx_run:function hidden
vmx_run:
	push	rbp
	push	rbx
	push	r12
	push	r13
	push	r14
	push	r15
	sub	rsp, 8			; on_exit is called with a stack on a boundary of 16
	mov	[rdi + HOST_RSP_SLOT], rsp
	mov	rax, rdi
	test	sil, sil
	jz	.launch
.resume:
	mov	rsp, rax
	POP_GPRS
	vmresume
	jmp	.failed
.launch:
	mov	rsp, rax
	POP_GPRS
	vmlaunch
.failed:				; CF: VMfailInvalid, ZF: VMfailValid. RSP is &regs->host_rsp
	mov	rsp, [rsp]
	mov	eax, 1
	mov	ecx, 2
	cmovnc	eax, ecx
	jmp	vmx_return

; The processor comes here on every exit, with RSP = &regs->host_rsp.
global vmx_exit:function hidden
vmx_exit:
	PUSH_GPRS
	mov	rdi, rsp		; on_exit(regs,
	rdtsc				;   (which clears the upper halves)
	shl	rdx, 32
	lea	rsi, [rdx + rax]	;   tsc,
	mov	ecx, EXIT_REASON
	vmread	rdx, rcx		;   reason): cannot fail, a VMCS is current
	mov	rsp, [rdi + HOST_RSP_SLOT]
	xor	ebx, ebx		; no guest value stays in a register
	xor	ebp, ebp		; and here a backtrace ends
	xor	r8d, r8d
	xor	r9d, r9d
	xor	r10d, r10d
	xor	r11d, r11d
	xor	r12d, r12d
	xor	r13d, r13d
	xor	r14d, r14d
	xor	r15d, r15d
	call	[rdi + ON_EXIT_SLOT]	; RFLAGS is 2 after an exit: DF is clear
	test	rax, rax
	jnz	vmx_run.resume		; EAX is 0 otherwise, VMX_EXITED
vmx_return:
	add	rsp, 8
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	rbx
	pop	rbp
	cld				; after a failure DF is the guest's
	ret

section .note.GNU-stack noalloc noexec nowrite progbits
