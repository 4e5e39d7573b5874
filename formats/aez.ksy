meta:
  id: aez
  title: Sets of small alike images under a learned codec
  file-extension: aez
  license: MIT
  ks-version: '0.10'
  endian: le
  encoding: ASCII
doc: |
  The container of version 1 of the .aez format, and where the parts of each payload lie. What
  payloads mean, checksums, and the rules that bind one field to another are in aez.md, whose
  clauses are named here.
doc-ref: aez.md
seq:
  - id: header
    type: header
  - id: records
    type: record
    repeat: until
    repeat-until: _.is_index
    doc: Sections and chunks to the index, which is the last of them (clause 2).
  - id: footer
    type: footer
  - id: end
    size: 0
    valid:
      expr: _io.eof
    doc: Nothing follows the footer (2.1).
types:
  header:
    doc: Clause 3.
    seq:
      - id: magic
        contents: [0x89, "AEZ", 0x0d, 0x0a, 0x1a, 0x0a]
      - id: version_major
        type: u2
        valid: 1
      - id: version_minor
        type: u2
      - id: required_flags
        type: u4
        valid:
          expr: _ < 256 and (_ & 16) == 0
        doc: LATENTS 1, REFINEMENT 2, ZSTD 4, ANS 8, TONES 32, UNDERLAY 64, LOW_TRUNK 128 (3.3).
      - id: optional_flags
        type: u4
      - id: height
        type: u2
        valid:
          min: 1
      - id: width
        type: u2
        valid:
          min: 1
      - id: channels
        type: u1
        valid:
          min: 1
          max: 4
      - id: target_kind
        type: u1
      - id: reserved_26
        type: u2
        valid: 0
      - id: target_value
        type: u4
      - id: chunk_images
        type: u4
        valid:
          min: 1
      - id: reserved_36
        type: u8
        valid: 0
      - id: header_crc32
        type: u4
  record:
    seq:
      - id: marker
        type: u4be
        enum: marker
        valid:
          any-of: [marker::section, marker::chunk]
      - id: body
        type:
          switch-on: marker
          cases:
            marker::section: section
            marker::chunk: chunk
    instances:
      is_index:
        value: marker == marker::section and body.as<section>.kind == "INDX"
  section:
    doc: Clause 4.
    seq:
      - id: kind
        type: str
        size: 4
      - id: flags
        type: u4
        valid:
          max: 1
        doc: REQUIRED 1.
      - id: payload_nbytes
        type: u8
      - id: payload_crc32
        type: u4
      - id: frame_crc32
        type: u4
      - id: payload
        size: payload_nbytes
        type:
          switch-on: kind
          cases:
            '"PART"': parts
            '"HEAD"': header
            '"INDX"': index
  parts:
    doc: Clause 4.5.
    seq:
      - id: part_count
        type: u1
        valid:
          min: 1
      - id: parts
        type: part
        repeat: expr
        repeat-expr: part_count
      - id: model_name_nbytes
        type: u1
      - id: model_name
        type: str
        encoding: UTF-8
        size: model_name_nbytes
  part:
    seq:
      - id: name_nbytes
        type: u1
        valid:
          min: 1
      - id: name
        type: str
        size: name_nbytes
      - id: fingerprint
        size: 32
  chunk:
    doc: Clause 5.
    seq:
      - id: ordinal
        type: u4
      - id: image_count
        type: u4
        valid:
          min: 1
      - id: table_nbytes
        type: u4
        valid:
          min: 8
          max: 16777216
      - id: payload_nbytes
        type: u8
      - id: sum_squared_error
        type: u8
      - id: pixels_sha256
        size: 32
      - id: table_crc32
        type: u4
      - id: payload_crc32
        type: u4
      - id: max_error
        type: u1
      - id: reserved
        contents: [0, 0, 0]
      - id: head_crc32
        type: u4
      - id: table
        size: table_nbytes
        type: table
      - id: sub_payloads
        size: table.entries[_index].nbytes
        type: sub_payload(table.entries[_index].mode)
        repeat: expr
        repeat-expr: table.sub_payload_count
  sub_payload:
    doc: Clause 7.
    params:
      - id: mode
        type: u1
        enum: mode
    seq:
      - id: content
        size-eos: true
        type:
          switch-on: mode
          cases:
            mode::latents_zstd: latents
            mode::pixels_ans: states_and_words
            mode::pixels_dequantized: states_and_words
            mode::latents_ans: states_and_words
  table:
    doc: Clauses 5.2 and 5.3.
    seq:
      - id: sub_payload_count
        type: u1
        valid:
          min: 1
      - id: entries
        type: table_entry
        repeat: expr
        repeat-expr: sub_payload_count
      - id: runs
        type: run
        repeat: eos
  table_entry:
    seq:
      - id: mode
        type: u1
        enum: mode
      - id: parameter
        type: u2
      - id: nbytes
        type: u4
  run:
    seq:
      - id: number
        type: u1
      - id: length
        type: leb128
  leb128:
    doc: Unsigned, below 2^35 here; lowest seven bits first.
    seq:
      - id: bytes
        type: u1
        repeat: until
        repeat-until: _ < 128
        valid:
          expr: bytes.size <= 5
    instances:
      value:
        value: >-
          (bytes[0] & 127)
          + (bytes.size > 1 ? (bytes[1] & 127) << 7 : 0)
          + (bytes.size > 2 ? (bytes[2] & 127) << 14 : 0)
          + (bytes.size > 3 ? (bytes[3] & 127) << 21 : 0)
          + (bytes.size > 4 ? (bytes[4] & 127) << 28 : 0)
  latents:
    doc: Clause 8.2; the sizes of the frames are within the packed table.
    seq:
      - id: table_nbytes
        type: leb128
      - id: packed_nbytes
        type: leb128
      - id: packed_table
        size: packed_nbytes.value
      - id: frames
        size-eos: true
  states_and_words:
    doc: Clause 12.4.
    seq:
      - id: states
        type: u8
        repeat: expr
        repeat-expr: 7
        valid:
          min: 4294967296
      - id: words
        type: u4
        repeat: eos
  index:
    doc: Clause 6.1.
    seq:
      - id: entries
        type: index_entry
        repeat: eos
  index_entry:
    seq:
      - id: offset
        type: u8
      - id: nbytes
        type: u8
      - id: image_count
        type: u4
        valid:
          min: 1
      - id: head_crc32
        type: u4
      - id: reserved
        type: u4
        valid: 0
    instances:
      record:
        io: _root._io
        pos: offset
        size: nbytes
        type: record
        doc: The chunk itself, without reading those before it.
  footer:
    doc: Clause 6.2.
    seq:
      - id: index_offset
        type: u8
      - id: index_nbytes
        type: u8
      - id: file_nbytes
        type: u8
        valid: _root._io.size
      - id: image_count
        type: u8
      - id: chunk_count
        type: u4
      - id: footer_crc32
        type: u4
      - id: magic
        contents: [0x0a, 0x1a, 0x0a, 0x0d, "ZEA", 0x89]
enums:
  marker:
    0x89534543: section
    0x8943484b: chunk
  mode:
    0: stored
    1: zstd
    2: latents_zstd
    3: pixels_ans
    4: pixels_dequantized
    5: latents_ans
