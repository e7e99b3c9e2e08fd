;; The inner loops of resampling and normalising, four sums at a time. Compiled into resample-wasm.ts by
;; `npm run wasm`; a test holds the two together.
;;
;; Sums are of 8-bit values times weights of 22 fraction bits, in 32-bit integers, with half a unit added and the
;; result clamped to 8 bits, as in Pillow. Loads reach up to 15 bytes past the last value and stores up to 16 past
;; theirs: the caller leaves room.
(module
  (memory (export "memory") 1)

  ;; Lines of RGB pixels to lines of `columns` pixels: pixel x sums `taps` inputs from pixel first[x] on.
  (func (export "horizontal")
    (param $source i32) (param $stride i32) (param $rows i32)
    (param $first i32) (param $weights i32) (param $taps i32) (param $columns i32) (param $out i32)
    (local $x i32) (local $pixel i32) (local $weight i32) (local $t i32) (local $sum v128)
    (loop $line
      (local.set $x (i32.const 0))
      (local.set $weight (local.get $weights))
      (loop $column
        (local.set $pixel
          (i32.add (local.get $source)
            (i32.mul (i32.const 3)
              (i32.load (i32.add (local.get $first) (i32.shl (local.get $x) (i32.const 2)))))))
        (local.set $sum (v128.const i32x4 0x200000 0x200000 0x200000 0))
        (local.set $t (local.get $taps))
        (loop $tap
          ;; Red, green, blue, and what comes next, which is written over later.
          (local.set $sum
            (i32x4.add (local.get $sum)
              (i32x4.mul
                (v128.load32_splat (local.get $weight))
                (i32x4.extend_low_i16x8_u (i16x8.extend_low_i8x16_u (v128.load32_zero (local.get $pixel)))))))
          (local.set $pixel (i32.add (local.get $pixel) (i32.const 3)))
          (local.set $weight (i32.add (local.get $weight) (i32.const 4)))
          (br_if $tap (local.tee $t (i32.sub (local.get $t) (i32.const 1)))))
        (local.set $sum (i32x4.shr_s (local.get $sum) (i32.const 22)))
        (local.set $sum (i16x8.narrow_i32x4_s (local.get $sum) (local.get $sum)))
        (v128.store32_lane 0 (local.get $out) (i8x16.narrow_i16x8_u (local.get $sum) (local.get $sum)))
        (local.set $out (i32.add (local.get $out) (i32.const 3)))
        (br_if $column
          (i32.lt_u (local.tee $x (i32.add (local.get $x) (i32.const 1))) (local.get $columns))))
      (local.set $source (i32.add (local.get $source) (local.get $stride)))
      (br_if $line (local.tee $rows (i32.sub (local.get $rows) (i32.const 1))))))

  ;; `rows` lines of `stride` bytes: line y sums `taps` lines from line first[y] of the source on.
  (func (export "vertical")
    (param $source i32) (param $stride i32) (param $rows i32)
    (param $first i32) (param $weights i32) (param $taps i32) (param $out i32)
    (local $i i32) (local $at i32) (local $weight i32) (local $t i32) (local $w v128) (local $bytes v128)
    (local $half v128) (local $a v128) (local $b v128) (local $c v128) (local $d v128)
    (loop $line
      (local.set $i (i32.const 0))
      (loop $group
        (local.set $at
          (i32.add (local.get $source)
            (i32.add (local.get $i) (i32.mul (local.get $stride) (i32.load (local.get $first))))))
        (local.set $weight (local.get $weights))
        (local.set $a (v128.const i32x4 0x200000 0x200000 0x200000 0x200000))
        (local.set $b (local.get $a))
        (local.set $c (local.get $a))
        (local.set $d (local.get $a))
        (local.set $t (local.get $taps))
        (loop $tap
          (local.set $w (v128.load32_splat (local.get $weight)))
          (local.set $bytes (v128.load (local.get $at)))
          (local.set $half (i16x8.extend_low_i8x16_u (local.get $bytes)))
          (local.set $a (i32x4.add (local.get $a) (i32x4.mul (local.get $w) (i32x4.extend_low_i16x8_u (local.get $half)))))
          (local.set $b (i32x4.add (local.get $b) (i32x4.mul (local.get $w) (i32x4.extend_high_i16x8_u (local.get $half)))))
          (local.set $half (i16x8.extend_high_i8x16_u (local.get $bytes)))
          (local.set $c (i32x4.add (local.get $c) (i32x4.mul (local.get $w) (i32x4.extend_low_i16x8_u (local.get $half)))))
          (local.set $d (i32x4.add (local.get $d) (i32x4.mul (local.get $w) (i32x4.extend_high_i16x8_u (local.get $half)))))
          (local.set $at (i32.add (local.get $at) (local.get $stride)))
          (local.set $weight (i32.add (local.get $weight) (i32.const 4)))
          (br_if $tap (local.tee $t (i32.sub (local.get $t) (i32.const 1)))))
        (v128.store (i32.add (local.get $out) (local.get $i))
          (i8x16.narrow_i16x8_u
            (i16x8.narrow_i32x4_s
              (i32x4.shr_s (local.get $a) (i32.const 22)) (i32x4.shr_s (local.get $b) (i32.const 22)))
            (i16x8.narrow_i32x4_s
              (i32x4.shr_s (local.get $c) (i32.const 22)) (i32x4.shr_s (local.get $d) (i32.const 22)))))
        (br_if $group
          (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 16))) (local.get $stride))))
      (local.set $first (i32.add (local.get $first) (i32.const 4)))
      (local.set $weights (local.get $weight))
      (local.set $out (i32.add (local.get $out) (local.get $stride)))
      (br_if $line (local.tee $rows (i32.sub (local.get $rows) (i32.const 1))))))

  ;; Interleaved RGB to three planes of floats, through a table of 256 floats for each channel.
  (func (export "normalise") (param $rgb i32) (param $pixels i32) (param $table i32) (param $out i32)
    (local $plane i32) (local $end i32)
    (local.set $plane (i32.shl (local.get $pixels) (i32.const 2)))
    (local.set $end (i32.add (local.get $out) (local.get $plane)))
    (loop $pixel
      (f32.store (local.get $out)
        (f32.load (i32.add (local.get $table) (i32.shl (i32.load8_u (local.get $rgb)) (i32.const 2)))))
      (f32.store (i32.add (local.get $out) (local.get $plane))
        (f32.load offset=1024
          (i32.add (local.get $table) (i32.shl (i32.load8_u offset=1 (local.get $rgb)) (i32.const 2)))))
      (f32.store (i32.add (local.get $out) (i32.shl (local.get $plane) (i32.const 1)))
        (f32.load offset=2048
          (i32.add (local.get $table) (i32.shl (i32.load8_u offset=2 (local.get $rgb)) (i32.const 2)))))
      (local.set $rgb (i32.add (local.get $rgb) (i32.const 3)))
      (br_if $pixel
        (i32.lt_u (local.tee $out (i32.add (local.get $out) (i32.const 4))) (local.get $end))))))
