# SPDX-License-Identifier: BSD-2-Clause
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
PS1='debian# '
