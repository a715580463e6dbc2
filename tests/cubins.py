"""What compiled GPU code says of itself."""

import struct

REGISTERS, STACK, SYMBOLS = 0x2F, 0x11, 2


def resources(cubin):
    """{kernel: (registers, bytes of a thread's stack)}, read from an ELF file's .nv.info section."""
    start, size, count, names = struct.unpack_from("<Q10xHHH", cubin, 40)[:1] + struct.unpack_from("<HHH", cubin, 58)
    sections = [struct.unpack_from("<IIQQQQIIQQ", cubin, start + i * size) for i in range(count)]

    def content(section):
        return cubin[section[4] : section[4] + section[5]]

    def text(strings, offset):
        return strings[offset : strings.index(b"\0", offset)].decode()

    titles = content(sections[names])
    symbols = next(section for section in sections if section[1] == SYMBOLS)
    strings, entries = content(sections[symbols[6]]), content(symbols)
    info = content(next(section for section in sections if text(titles, section[0]) == ".nv.info"))
    found, at = {}, 0
    while at < len(info):
        form, kind, length = struct.unpack_from("<BBH", info, at)
        if form == 4 and kind in (REGISTERS, STACK):
            symbol, value = struct.unpack_from("<II", info, at + 4)
            name = text(strings, struct.unpack_from("<I", entries, symbol * 24)[0])
            found.setdefault(name, {})[kind] = value
        at += 4 + (length if form == 4 else 0)
    # What has no registers of its own is a kernel's subroutine.
    return {name: (figures[REGISTERS], figures[STACK]) for name, figures in found.items() if REGISTERS in figures}
