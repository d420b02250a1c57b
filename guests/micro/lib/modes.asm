; SPDX-License-Identifier: BSD-2-Clause
; Out of long mode and back: no paging, 32-bit paging, PAE paging, real mode. In each: a CPUID exit, a
; read of the LAPIC's registers, and a read through a mapping. And 32-bit code that has to be there
; for loops and task switches that long mode does not know.

%define REAL_AT 0x7000          ; the real-mode code's home
%define LAPIC_VERSION 0xfee00030
%define CR0_PE 1
%define CR0_PG (1 << 31)
%define CR4_PSE (1 << 4)
%define CR4_PAE (1 << 5)
%define CR4_MCE (1 << 6)
%define CR0_CD (1 << 30)
%define EFER 0xc0000080
%define EFER_LME (1 << 8)
%define FRAME 0xb50000          ; the page that the mappings lead to

; struct mode_result
%define R_CPUID 0
%define R_LAPIC 8
%define R_MAPPED 16
%define R_EFER 24
%define R_VECTOR 32
%define R_COPIED 40

extern pml4, page_dirs, gdt_pointer

section .text
bits 64

; To 32-bit mode without paging, to continue at the label that follows; keeps no registers.
%macro to_32 0
	push 0x18
	push %%compat
	retfq
bits 32
%%compat:
	mov ax, 0x10
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov fs, ax
	mov eax, cr0
	and eax, ~CR0_PG
	mov cr0, eax
%endmacro

; And back, from 32-bit mode without paging.
%macro to_64 0
	mov eax, cr4
	and eax, ~(CR4_PSE | CR4_MCE)
	or eax, CR4_PAE
	mov cr4, eax
	mov eax, pml4
	mov cr3, eax
	mov ecx, EFER
	rdmsr
	or eax, EFER_LME
	wrmsr
	mov eax, cr0
	or eax, CR0_PG
	mov cr0, eax
	jmp 0x08:%%long
bits 64
%%long:
%endmacro

; What each mode does. EBP: the result; %1: the address of FRAME in this mode.
%macro probe 1
	mov eax, 0x40000000
	xor ecx, ecx
	cpuid
	mov [ebp + R_CPUID], eax
	mov eax, [LAPIC_VERSION]
	mov [ebp + R_LAPIC], eax
	mov eax, [%1]
	mov [ebp + R_MAPPED], eax
	mov esi, LAPIC_VERSION          ; MOVS from the device through the mapping
	mov edi, %1 + 8
	movsd
	mov eax, [%1 + 8]
	mov [ebp + R_COPIED], eax
	mov ecx, EFER
	rdmsr
	mov [ebp + R_EFER], eax
	mov eax, cr4                    ; bits that the host owns: an exit in this mode
	or eax, CR4_MCE
	mov cr4, eax
	mov eax, cr0
	or eax, CR0_CD
	mov cr0, eax
	mov eax, cr0
	and eax, ~CR0_CD
	mov cr0, eax
	mov eax, [%1]
	cmp eax, [ebp + R_MAPPED]       ; the mapping is still there
	je %%same
	mov dword [ebp + R_MAPPED], 0xbad
%%same:
%endmacro

; void modes_paging(none, legacy, pae)
global modes_paging
modes_paging:
	push rbx
	push rbp
	push r12
	push r13
	push r14
	push r15
	mov [saved], rsp
	mov [results], edi
	mov [results + 4], esi
	mov [results + 8], edx
	to_32
	mov ebp, [results]
	probe FRAME

	; 32-bit paging: 4 MiB pages one to one, and 40000000H by a table.
	mov ecx, EFER
	rdmsr
	and eax, ~EFER_LME
	wrmsr
	xor ecx, ecx
	mov eax, 0x83
.fill:
	mov [legacy_dir + ecx * 4], eax
	add eax, 1 << 22
	inc ecx
	cmp ecx, 1024
	jb .fill
	mov dword [legacy_dir + 4 * 256], legacy_table + 7
	mov dword [legacy_table], FRAME + 7
	mov eax, cr4
	and eax, ~CR4_PAE
	or eax, CR4_PSE
	mov cr4, eax
	mov eax, legacy_dir
	mov cr3, eax
	mov eax, cr0
	or eax, CR0_PG
	mov cr0, eax
	mov ebp, [results + 4]
	probe 0x40000000
	mov eax, cr0
	and eax, ~CR0_PG
	mov cr0, eax

	; PAE: the page directories of long mode, and 80000000H by tables of its own.
	xor ecx, ecx
	mov eax, page_dirs + 1
.pdpte:
	mov [pae_pdpt + ecx * 8], eax
	mov dword [pae_pdpt + ecx * 8 + 4], 0
	add eax, 4096
	inc ecx
	cmp ecx, 4
	jb .pdpte
	mov dword [pae_pdpt + 2 * 8], pae_dir + 1
	mov dword [pae_dir], pae_table + 7
	mov dword [pae_table], FRAME + 7
	mov eax, cr4
	or eax, CR4_PAE
	mov cr4, eax
	mov eax, pae_pdpt
	mov cr3, eax
	mov eax, cr0
	or eax, CR0_PG
	mov cr0, eax
	mov ebp, [results + 8]
	probe 0x80000000
	; The four entries are registers: what is changed in memory counts when CR3 is written.
	mov dword [pae_pdpt + 2 * 8], page_dirs + 2 * 4096 + 1
	mov eax, [0x80000000]
	cmp eax, [ebp + R_MAPPED]
	je .kept
	mov dword [ebp + R_MAPPED], 0xbad2
.kept:
	mov eax, pae_pdpt
	mov cr3, eax
	mov eax, [0x80000000]           ; now one to one: nothing there
	mov [ebp + R_VECTOR], eax
	mov eax, cr0
	and eax, ~CR0_PG
	mov cr0, eax
	to_64
	mov rsp, [saved]
	pop r15
	pop r14
	pop r13
	pop r12
	pop rbp
	pop rbx
	ret

; void modes_real(real)
global modes_real
modes_real:
	push rbx
	push rbp
	push r12
	push r13
	push r14
	push r15
	mov [saved], rsp
	mov [results], edi
	mov rsi, real_blob
	mov rdi, REAL_AT
	mov ecx, real_end - real_blob
	rep movsb
	sidt [saved_idt]
	to_32
	mov ecx, EFER
	rdmsr
	and eax, ~EFER_LME
	wrmsr
	mov ebp, [results]
	jmp 0x30:REAL_AT
real_back:
	mov ax, 0x10
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov fs, ax
	to_64
	mov ax, 0x10
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov rsp, [saved]
	lidt [saved_idt]
	lgdt [gdt_pointer]
	pop r15
	pop r14
	pop r13
	pop r12
	pop rbp
	pop rbx
	ret

section .rodata
bits 16
real_blob:
	; 16-bit protected mode; FS and GS keep their 4 GiB limits.
	mov ax, 0x10
	mov gs, ax
	mov ax, 0x38
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov eax, cr0
	and eax, ~CR0_PE
	mov cr0, eax
	jmp 0:REAL_AT + (.real - real_blob)
.real:
	xor ax, ax
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov sp, 0x6ff0
	o32 lidt [cs:REAL_AT + (.ivt - real_blob)]
	mov word [13 * 4], REAL_AT + (.gp - real_blob)
	mov word [13 * 4 + 2], 0
	mov word [0x40 * 4], REAL_AT + (.int40 - real_blob)
	mov word [0x40 * 4 + 2], 0
	mov dword [0x6ff4], 0
	mov eax, 0x40000000
	xor ecx, ecx
	cpuid
	mov [gs:ebp + R_CPUID], eax
	mov eax, [gs:dword LAPIC_VERSION]
	mov [gs:ebp + R_LAPIC], eax
	; MOVS from the device to ES:DI, 16-bit destination: a32 for the source.
	xor di, di
	mov di, 0x6fe8 - 0x100
	mov esi, LAPIC_VERSION
	movzx edi, di
	a32 gs movsd
	mov eax, [0x6fe8 - 0x100]
	mov [gs:ebp + R_COPIED], eax
	; REP INSB over ES:DI from a port where nothing is, 16-bit registers.
	mov di, 0x6e00
	mov cx, 300
	mov dx, 0x1234
	rep insb
	movzx eax, di
	shl eax, 16
	mov al, [0x6e00 + 299]
	mov ah, cl
	mov [gs:ebp + R_MAPPED], eax
	; An MSR that is not there: #GP through the IVT, without an error code.
	mov ecx, 0x480
	rdmsr
	int 0x40
	sti
	mov al, 1
	out 0x80, al
	cli
	mov ecx, EFER
	rdmsr
	mov [gs:ebp + R_EFER], eax
	mov eax, [0x6ff4]
	mov [gs:ebp + R_VECTOR], eax
	mov eax, cr0
	or al, CR0_PE
	mov cr0, eax
	jmp dword 0x18:real_back
.gp:
	add word [0x6ff4], 13
	mov bx, sp
	add word [ss:bx], 2     ; over RDMSR
	iret
.int40:
	add word [0x6ff6], 0x40
	iret
.ivt:
	dw 0x3ff
	dd 0
real_end:

section .text
bits 64
; CVE-2015-5307: in ring 3 of 32-bit mode, an #AC whose handler's frame is pushed on a misaligned stack.
global loop_ac
loop_ac:
	to_32
	lidt [ac_idt_pointer]
	lgdt [ac_gdt_pointer]
	mov eax, cr0
	or eax, 1 << 18         ; AM
	mov cr0, eax
	mov esp, 0xb70000
	push 0x10 | 3           ; flat ring 3 data of ac_gdt
	push 0xb80001           ; ESP, misaligned
	push 0x40002            ; EFLAGS.AC
	push 0x08 | 3
	push .user
	iretd
bits 32
.user:
	push eax                ; #AC; its delivery is the next one
	jmp .user

section .data
align 8
ac_gdt:
	dq 0
	dq 0x00cffb000000ffff
	dq 0x00cff3000000ffff
ac_gdt_pointer:
	dw 23
	dd ac_gdt
align 8
ac_idt:
	times 17 dq 0
	dq 0x0010ee000008f000   ; gate of #AC: ring 3 code at 0x10f000
ac_idt_pointer:
	dw 18 * 8 - 1
	dd ac_idt

section .text
bits 64
; A far jump to a task-state segment: a hardware task switch.
global task_switch
task_switch:
	to_32
	lgdt [task_gdt_pointer]
	mov ax, 0x18
	ltr ax
	jmp 0x20:0

section .data
align 8
task_gdt:
	dq 0
	dq 0x00cf9b000000ffff
	dq 0x00cf93000000ffff
	dq 0x0000890a00000067   ; 18: TSS at 0a0000
	dq 0x0000890a10000067   ; 20: TSS at 0a1000
task_gdt_pointer:
	dw 39
	dd task_gdt

section .bss
alignb 4096
legacy_dir:   resb 4096
legacy_table: resb 4096
pae_dir:      resb 4096
pae_table:    resb 4096
pae_pdpt:     resb 4096
saved:        resq 1
results:      resd 4
saved_idt:    resb 16
