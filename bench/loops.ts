// Loops that each stress one thing: machine code with what it says. Each ends in HLT after 2^31 rounds, so it is measured by time.
import { machineCode } from '../src/cpu/translator/fixtures/machine-code.ts';

export interface Loop {
  readonly name: string;
  readonly code: Uint8Array;
}

const loop = (name: string, listing: string): Loop => ({ name, code: machineCode(listing) });

export const LOOPS: readonly Loop[] = [
  loop(
    'ALU on registers',
    `
    41 bf ff ff ff 7f ; 00 mov r15d,0x7fffffff
    48 01 d8 ; 06 add rax,rbx
    48 31 c2 ; 09 xor rdx,rax
    29 d1 ; 0c sub ecx,edx
    8d 74 41 03 ; 0e lea esi,[rcx+rax*2+0x3]
    81 e6 ff 00 00 00 ; 12 and esi,0xff
    48 0f af fa ; 18 imul rdi,rdx
    48 c1 e7 03 ; 1c shl rdi,0x3
    48 09 f3 ; 20 or rbx,rsi
    49 83 c0 01 ; 23 add r8,0x1
    41 ff cf ; 27 dec r15d
    75 da ; 2a jne 0x6
    f4 ; 2c hlt
  `,
  ),
  loop(
    'loads and stores',
    `
    41 bf ff ff ff 7f ; 00 mov r15d,0x7fffffff
    bd 00 00 02 00 ; 06 mov ebp,0x20000
    48 8b 45 00 ; 0b mov rax,q[rbp+0x0]
    48 03 45 08 ; 0f add rax,q[rbp+0x8]
    48 89 45 10 ; 13 mov q[rbp+0x10],rax
    89 45 18 ; 17 mov d[rbp+0x18],eax
    0f b6 4d 03 ; 1a movzx ecx,b[rbp+0x3]
    48 8b 54 cd 00 ; 1e mov rdx,q[rbp+rcx*8+0x0]
    88 4c 0d 21 ; 23 mov b[rbp+rcx*1+0x21],cl
    01 55 28 ; 27 add d[rbp+0x28],edx
    83 7d 30 05 ; 2a cmp d[rbp+0x30],0x5
    41 ff cf ; 2e dec r15d
    75 d8 ; 31 jne 0xb
    f4 ; 33 hlt
  `,
  ),
  loop(
    'call and return',
    `
    41 bf ff ff ff 7f ; 00 mov r15d,0x7fffffff
    e8 0b 00 00 00 ; 06 call 0x16
    e8 06 00 00 00 ; 0b call 0x16
    41 ff cf ; 10 dec r15d
    75 f1 ; 13 jne 0x6
    f4 ; 15 hlt
    48 8d 40 01 ; 16 lea rax,[rax+0x1]
    c3 ; 1a ret
  `,
  ),
  loop(
    'push and pop',
    `
    41 bf ff ff ff 7f ; 00 mov r15d,0x7fffffff
    53 ; 06 push rbx
    55 ; 07 push rbp
    41 54 ; 08 push r12
    41 5c ; 0a pop r12
    5d ; 0c pop rbp
    5b ; 0d pop rbx
    41 ff cf ; 0e dec r15d
    75 f3 ; 11 jne 0x6
    f4 ; 13 hlt
  `,
  ),
  loop(
    'branches not taken',
    `
    41 bf ff ff ff 7f ; 00 mov r15d,0x7fffffff
    85 c0 ; 06 test eax,eax
    78 14 ; 08 js 0x1e
    83 f9 07 ; 0a cmp ecx,0x7
    7f 0f ; 0d jg 0x1e
    48 85 d2 ; 0f test rdx,rdx
    75 0a ; 12 jne 0x1e
    4c 39 c2 ; 14 cmp rdx,r8
    77 05 ; 17 ja 0x1e
    41 ff cf ; 19 dec r15d
    75 e8 ; 1c jne 0x6
    f4 ; 1e hlt
  `,
  ),
  loop(
    'branches taken',
    `
    41 bf ff ff ff 7f ; 00 mov r15d,0x7fffffff
    85 c0 ; 06 test eax,eax
    79 01 ; 08 jns 0xb
    90 ; 0a nop
    83 f9 07 ; 0b cmp ecx,0x7
    7e 01 ; 0e jle 0x11
    90 ; 10 nop
    48 85 d2 ; 11 test rdx,rdx
    74 01 ; 14 je 0x17
    90 ; 16 nop
    eb 01 ; 17 jmp 0x1a
    90 ; 19 nop
    41 ff cf ; 1a dec r15d
    75 e7 ; 1d jne 0x6
    f4 ; 1f hlt
  `,
  ),
  loop(
    'indirect jumps',
    `
    41 bf ff ff ff 7f ; 00 mov r15d,0x7fffffff
    48 8d 05 0a 00 00 00 ; 06 lea rax,[rip+0xa]
    48 8d 1d 06 00 00 00 ; 0d lea rbx,[rip+0x6]
    ff e0 ; 14 jmp rax
    90 ; 16 nop
    ff e3 ; 17 jmp rbx
    90 ; 19 nop
    41 ff cf ; 1a dec r15d
    75 f5 ; 1d jne 0x14
    f4 ; 1f hlt
  `,
  ),
  loop(
    'rep movsb, 64 bytes',
    `
    41 bf ff ff ff 7f ; 00 mov r15d,0x7fffffff
    be 00 00 02 00 ; 06 mov esi,0x20000
    bf 00 10 02 00 ; 0b mov edi,0x21000
    b9 40 00 00 00 ; 10 mov ecx,0x40
    f3 a4 ; 15 rep movs bes:[rdi],bds:[rsi]
    41 ff cf ; 17 dec r15d
    75 ea ; 1a jne 0x6
    f4 ; 1c hlt
  `,
  ),
  loop(
    'sse',
    `
    41 bf ff ff ff 7f ; 00 mov r15d,0x7fffffff
    bd 00 00 02 00 ; 06 mov ebp,0x20000
    0f 10 45 00 ; 0b movups xmm0,x[rbp+0x0]
    66 0f fe c1 ; 0f paddd xmm0,xmm1
    66 0f ef d0 ; 13 pxor xmm2,xmm0
    0f 11 55 10 ; 17 movups x[rbp+0x10],xmm2
    f2 0f 10 5d 20 ; 1b movsd xmm3,q[rbp+0x20]
    f2 0f 58 e3 ; 20 addsd xmm4,xmm3
    f2 0f 59 e3 ; 24 mulsd xmm4,xmm3
    66 48 0f 7e e0 ; 28 movq rax,xmm4
    41 ff cf ; 2d dec r15d
    75 d9 ; 30 jne 0xb
    f4 ; 32 hlt
  `,
  ),
  loop(
    'mixed',
    `
    41 bf ff ff ff 7f ; 00 mov r15d,0x7fffffff
    bd 00 00 02 00 ; 06 mov ebp,0x20000
    e8 25 00 00 00 ; 0b call 0x35
    85 c0 ; 10 test eax,eax
    74 14 ; 12 je 0x28
    48 89 c7 ; 14 mov rdi,rax
    0f b6 4c 3d 00 ; 17 movzx ecx,b[rbp+rdi*1+0x0]
    80 f9 41 ; 1c cmp cl,0x41
    72 07 ; 1f jb 0x28
    83 e9 20 ; 21 sub ecx,0x20
    88 4c 3d 00 ; 24 mov b[rbp+rdi*1+0x0],cl
    48 8d 5b 01 ; 28 lea rbx,[rbx+0x1]
    83 e3 3f ; 2c and ebx,0x3f
    41 ff cf ; 2f dec r15d
    75 d7 ; 32 jne 0xb
    f4 ; 34 hlt
    53 ; 35 push rbx
    41 54 ; 36 push r12
    48 83 ec 10 ; 38 sub rsp,0x10
    48 8b 44 dd 08 ; 3c mov rax,q[rbp+rbx*8+0x8]
    48 89 44 24 08 ; 41 mov q[rsp+0x8],rax
    4c 8b 64 24 08 ; 46 mov r12,q[rsp+0x8]
    44 31 e0 ; 4b xor eax,r12d
    c1 e8 02 ; 4e shr eax,0x2
    83 e0 0f ; 51 and eax,0xf
    48 83 c4 10 ; 54 add rsp,0x10
    41 5c ; 58 pop r12
    5b ; 5a pop rbx
    c3 ; 5b ret
  `,
  ),
];
