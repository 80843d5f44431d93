/** Structs of real headers, in our own words: what drivers, the kernel, a simulator and a protocol lay down. */
import {
  anonymous,
  array,
  bits,
  bytes,
  c_bool,
  c_double,
  c_float,
  c_int32,
  c_uint8,
  c_uint16,
  c_uint32,
  c_uint64,
  c_void_p,
  chars,
  nested,
  type StructClass,
  structOf,
  unionOf,
  windows,
} from "../../src/struct/index.ts";

/** linux/io_uring.h */
export class Sqe extends structOf({
  opcode: c_uint8,
  flags: c_uint8,
  ioprio: c_uint16,
  fd: c_int32,
  _1: anonymous(
    unionOf({
      off: c_uint64,
      addr2: c_uint64,
      _: anonymous(structOf({ cmd_op: c_uint32, __pad1: c_uint32 })),
    }),
  ),
  _2: anonymous(unionOf({ addr: c_uint64, splice_off_in: c_uint64 })),
  len: c_uint32,
  _3: anonymous(unionOf({ rw_flags: c_uint32, poll_events: c_uint16, msg_flags: c_uint32 })),
  user_data: c_uint64,
  _4: anonymous(unionOf({ buf_index: c_uint16, buf_group: c_uint16 }, { pack: 1 })),
  personality: c_uint16,
  _5: anonymous(
    unionOf({
      splice_fd_in: c_int32,
      file_index: c_uint32,
      _: anonymous(structOf({ addr_len: c_uint16, __pad3: array(c_uint16, 1) })),
    }),
  ),
  _6: anonymous(
    unionOf({
      _: anonymous(structOf({ addr3: c_uint64, __pad2: array(c_uint64, 1) })),
      cmd: array(c_uint8, 0),
    }),
  ),
}) {}

/** linux/perf_event.h, as far as every kernel of these years has it. */
export class PerfEventAttr extends structOf({
  type: c_uint32,
  size: c_uint32,
  config: c_uint64,
  _1: anonymous(unionOf({ sample_period: c_uint64, sample_freq: c_uint64 })),
  sample_type: c_uint64,
  read_format: c_uint64,
  disabled: bits(c_uint64, 1),
  inherit: bits(c_uint64, 1),
  pinned: bits(c_uint64, 1),
  exclusive: bits(c_uint64, 1),
  exclude_user: bits(c_uint64, 1),
  exclude_kernel: bits(c_uint64, 1),
  exclude_hv: bits(c_uint64, 1),
  exclude_idle: bits(c_uint64, 1),
  mmap: bits(c_uint64, 1),
  comm: bits(c_uint64, 1),
  freq: bits(c_uint64, 1),
  inherit_stat: bits(c_uint64, 1),
  enable_on_exec: bits(c_uint64, 1),
  task: bits(c_uint64, 1),
  watermark: bits(c_uint64, 1),
  precise_ip: bits(c_uint64, 2),
  mmap_data: bits(c_uint64, 1),
  rest: bits(c_uint64, 46),
  _2: anonymous(unionOf({ wakeup_events: c_uint32, wakeup_watermark: c_uint32 })),
  bp_type: c_uint32,
  _3: anonymous(unionOf({ bp_addr: c_uint64, config1: c_uint64 })),
  _4: anonymous(unionOf({ bp_len: c_uint64, config2: c_uint64 })),
  branch_sample_type: c_uint64,
  sample_regs_user: c_uint64,
  sample_stack_user: c_uint32,
  clockid: c_int32,
  sample_regs_intr: c_uint64,
  aux_watermark: c_uint32,
  sample_max_stack: c_uint16,
}) {}

const Rect = structOf({ left: c_int32, top: c_int32, width: c_uint32, height: c_uint32 });
const PixFormat = structOf({
  width: c_uint32,
  height: c_uint32,
  pixelformat: chars(4),
  field: c_uint32,
  bytesperline: c_uint32,
  sizeimage: c_uint32,
  colorspace: c_uint32,
  priv: c_uint32,
  flags: c_uint32,
  _: anonymous(unionOf({ ycbcr_enc: c_uint32, hsv_enc: c_uint32 })),
  quantization: c_uint32,
  xfer_func: c_uint32,
});
const Plane = structOf(
  { sizeimage: c_uint32, bytesperline: c_uint32, reserved: array(c_uint16, 6) },
  { pack: 1 },
);
const PixFormatMplane = structOf(
  {
    width: c_uint32,
    height: c_uint32,
    pixelformat: c_uint32,
    field: c_uint32,
    colorspace: c_uint32,
    plane_fmt: nested(Plane, 8),
    num_planes: c_uint8,
    flags: c_uint8,
    _: anonymous(unionOf({ ycbcr_enc: c_uint8, hsv_enc: c_uint8 })),
    quantization: c_uint8,
    xfer_func: c_uint8,
    reserved: bytes(7),
  },
  { pack: 1 },
);
const Window = structOf({
  w: Rect,
  field: c_uint32,
  chromakey: c_uint32,
  clips: c_void_p,
  clipcount: c_uint32,
  bitmap: c_void_p,
  global_alpha: c_uint8,
});

/** linux/videodev2.h */
export class V4l2Format extends structOf({
  type: c_uint32,
  fmt: unionOf({ pix: PixFormat, pix_mp: PixFormatMplane, win: Window, raw_data: bytes(200) }),
}) {}

/** linux/tcp.h, its first members. */
export class TcpInfo extends structOf({
  tcpi_state: c_uint8,
  tcpi_ca_state: c_uint8,
  tcpi_retransmits: c_uint8,
  tcpi_probes: c_uint8,
  tcpi_backoff: c_uint8,
  tcpi_options: c_uint8,
  tcpi_snd_wscale: bits(c_uint8, 4),
  tcpi_rcv_wscale: bits(c_uint8, 4),
  tcpi_delivery_rate_app_limited: bits(c_uint8, 1),
  tcpi_rto: c_uint32,
  tcpi_ato: c_uint32,
  tcpi_snd_mss: c_uint32,
}) {}

/** elf.h */
export class ElfHeader extends structOf({
  e_ident: bytes(16),
  e_type: c_uint16,
  e_machine: c_uint16,
  e_version: c_uint32,
  e_entry: c_uint64,
  e_phoff: c_uint64,
  e_shoff: c_uint64,
  e_flags: c_uint32,
  e_ehsize: c_uint16,
  e_phentsize: c_uint16,
  e_phnum: c_uint16,
  e_shentsize: c_uint16,
  e_shnum: c_uint16,
  e_shstrndx: c_uint16,
}) {}

const Vec3 = structOf({ x: c_double, y: c_double, z: c_double });
const Wheel = structOf(
  {
    mSuspensionDeflection: c_double,
    mTemperature: array(c_double, 3),
    mFlat: c_bool,
    mStaticUndeflectedRadius: c_uint8,
  },
  { pack: 4 },
);

/** A vehicle as rFactor 2 shares it: Windows' types, packed by 4. */
export class Vehicle extends structOf(
  {
    mID: windows.c_long,
    mDeltaTime: c_double,
    mVehicleName: chars(64),
    mPos: Vec3,
    mOri: nested(Vec3, 3),
    mGear: windows.c_long,
    mEngineRPM: c_double,
    mLastImpactTime: c_float,
    mHeadlights: c_uint8,
    mWheels: nested(Wheel, 4),
  },
  { pack: 4 },
) {}

/** A message as MAVLink puts it on the wire. */
export class Heartbeat extends structOf(
  {
    magic: c_uint8,
    len: c_uint8,
    seq: c_uint8,
    msgid: bits(c_uint32, 24),
    custom_mode: c_uint32,
    type: c_uint8,
    base_mode: c_uint8,
    checksum: c_uint16,
  },
  { pack: 1 },
) {}

/** One struct: its C, and values for members that do not overlap. */
export interface Header {
  readonly cls: StructClass;
  readonly type: string;
  readonly include?: string;
  /** C, where no header has it. */
  readonly declaration?: string;
  /** Whether this is all of the struct in every version of the header. */
  readonly whole: boolean;
  /** By paths as C writes them; text is bytes to C. */
  readonly values: Readonly<Record<string, number | bigint | string>>;
}

export const headers: readonly Header[] = [
  {
    cls: Sqe,
    type: "struct io_uring_sqe",
    include: "linux/io_uring.h",
    whole: true,
    values: {
      opcode: 22,
      ioprio: 0x1234,
      fd: -7,
      cmd_op: 0xdeadbeef,
      splice_off_in: 2n ** 63n + 5n,
      poll_events: 0x8001,
      user_data: 2n ** 64n - 2n,
      buf_group: 77,
      personality: 3,
      addr_len: 0xabcd,
      addr3: 12345678901n,
    },
  },
  {
    cls: PerfEventAttr,
    type: "struct perf_event_attr",
    include: "linux/perf_event.h",
    whole: false,
    values: {
      type: 4,
      config: 2n ** 40n,
      sample_freq: 4000n,
      disabled: 1n,
      exclude_hv: 1n,
      precise_ip: 2n,
      wakeup_watermark: 9,
      config1: 0x1122334455667788n,
      clockid: -1,
      sample_max_stack: 65535,
    },
  },
  {
    cls: V4l2Format,
    type: "struct v4l2_format",
    include: "linux/videodev2.h",
    whole: true,
    values: {
      type: 1,
      "fmt.pix_mp.width": 1920,
      "fmt.pix_mp.plane_fmt[7].bytesperline": 4096,
      "fmt.pix_mp.plane_fmt[7].reserved[5]": 9,
      "fmt.pix_mp.num_planes": 3,
      "fmt.pix_mp.hsv_enc": 128,
      "fmt.pix_mp.reserved[6]": 255,
    },
  },
  {
    cls: V4l2Format,
    type: "struct v4l2_format",
    include: "linux/videodev2.h",
    whole: true,
    values: { type: 3, "fmt.win.w.left": -5, "fmt.win.clips": 2n ** 63n, "fmt.win.global_alpha": 200 },
  },
  {
    cls: TcpInfo,
    type: "struct tcp_info",
    include: "linux/tcp.h",
    whole: false,
    values: { tcpi_state: 1, tcpi_snd_wscale: 7, tcpi_rcv_wscale: 14, tcpi_rto: 204000, tcpi_snd_mss: 1448 },
  },
  {
    cls: ElfHeader,
    type: "Elf64_Ehdr",
    include: "elf.h",
    whole: true,
    values: { "e_ident[0]": 0x7f, "e_ident[15]": 1, e_machine: 62, e_entry: 0x401000n, e_shstrndx: 30 },
  },
  {
    cls: Vehicle,
    type: "struct vehicle",
    declaration: `#pragma pack(push, 4)
      struct vec3 { double x, y, z; };
      struct wheel { double mSuspensionDeflection; double mTemperature[3]; _Bool mFlat; unsigned char mStaticUndeflectedRadius; };
      struct vehicle { int32_t mID; double mDeltaTime; char mVehicleName[64]; struct vec3 mPos; struct vec3 mOri[3]; int32_t mGear;
        double mEngineRPM; float mLastImpactTime; unsigned char mHeadlights; struct wheel mWheels[4]; };
      #pragma pack(pop)`,
    whole: true,
    values: {
      mID: -3,
      mDeltaTime: 0.0625,
      mVehicleName: "Formula",
      "mPos.y": -1.5,
      "mOri[2].z": 2.25,
      mGear: 6,
      mEngineRPM: 11234.5,
      mLastImpactTime: 0.5,
      "mWheels[3].mTemperature[1]": 361.125,
      "mWheels[2].mStaticUndeflectedRadius": 33,
    },
  },
  {
    cls: Heartbeat,
    type: "struct heartbeat",
    declaration: `#pragma pack(push, 1)
      struct heartbeat { uint8_t magic, len, seq; uint32_t msgid : 24; uint32_t custom_mode; uint8_t type, base_mode; uint16_t checksum; };
      #pragma pack(pop)`,
    whole: true,
    values: { magic: 0xfd, seq: 255, msgid: 0xabcdef, custom_mode: 2 ** 31, base_mode: 81, checksum: 0xbeef },
  },
];
