; Into a guest and back, shaped like a call: vmx_enter returns when the guest has exited.
;
; struct guest_regs doubles as the stack: it is popped on the way in and, since HOST_RSP points just
; behind it, pushed on the way out. Nothing else may use that stack: interrupts are off in between,
; and NMI, double fault and machine check have stacks of their own (IST).

bits 64
default rel

%include "lib/gprs.inc"

%define HOST_RSP_SLOT 15 * 8		; offsetof(struct guest_regs, host_rsp), asserted in vmx.h

section .text

; enum vmx_entry_result vmx_enter(struct guest_regs *regs /* rdi */, bool launched /* sil */)
global vmx_enter:function hidden
vmx_enter:
	push	rbp
	push	rbx
	push	r12
	push	r13
	push	r14
	push	r15
	mov	[rdi + HOST_RSP_SLOT], rsp
	test	sil, sil		; POP leaves the flags alone
	mov	rsp, rdi
	POP_GPRS
	jz	.launch
	vmresume
	jmp	.failed
.launch:
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
	mov	rsp, [rsp + HOST_RSP_SLOT]
	xor	eax, eax		; VMX_EXITED; and no guest value stays in a register
	xor	ecx, ecx
	xor	edx, edx
	xor	esi, esi
	xor	edi, edi
	xor	r8d, r8d
	xor	r9d, r9d
	xor	r10d, r10d
	xor	r11d, r11d
vmx_return:
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	rbx
	pop	rbp
	cld				; RFLAGS is 2 after an exit: DF is clear; after a failure it is ours
	ret

section .note.GNU-stack noalloc noexec nowrite progbits
