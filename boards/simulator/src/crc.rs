//! The two checksums of the BM13xx wire, written bit by bit from their definitions. This is deliberately not the driver's
//! code: a mistake there must not be mirrored here.

/// CRC5 register after `bits` bits of `byte`, most significant first; polynomial x^5 + x^2 + 1.
fn crc5_bits(mut crc: u8, byte: u8, bits: u8) -> u8 {
    for i in 0..bits {
        let feedback = (crc >> 4) ^ (byte >> (7 - i)) & 1;
        crc = (crc << 1) & 0x1F;
        if feedback & 1 != 0 {
            crc ^= 0x05;
        }
    }
    crc
}

/// CRC5 (initial value 0x1F) over whole bytes: what a command carries in its last byte, and zero over a good reply.
pub(crate) fn crc5(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0x1F, |crc, &b| crc5_bits(crc, b, 8))
}

/// The last byte of a reply: three flag bits, then the CRC5 that covers the body and those three bits.
pub(crate) fn reply_tail(body: &[u8], flags: u8) -> u8 {
    flags & 0xE0 | crc5_bits(crc5(body), flags, 3)
}

/// CRC16 of job frames: CCITT-FALSE, polynomial 0x1021, initial value 0xFFFF.
pub(crate) fn crc16(bytes: &[u8]) -> u16 {
    let mut crc = 0xFFFF_u16;
    for &byte in bytes {
        crc ^= u16::from(byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 != 0 {
                crc << 1 ^ 0x1021
            } else {
                crc << 1
            };
        }
    }
    crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc16_gives_the_published_check_value() {
        assert_eq!(crc16(b"123456789"), 0x29B1);
    }

    #[test]
    fn crc5_matches_known_commands() {
        assert_eq!(crc5(&[0x52, 0x05, 0x00, 0x00]), 0x0A);
        assert_eq!(crc5(&[0x53, 0x05, 0x00, 0x00]), 0x03);
        assert_eq!(
            crc5(&[0x51, 0x09, 0x00, 0xA4, 0x90, 0x00, 0xFF, 0xFF]),
            0x1C
        );
    }

    #[test]
    fn reply_tail_makes_the_whole_reply_check_to_zero() {
        let body = [0x13, 0x68, 0, 0, 0, 0, 0, 0];
        assert_eq!(reply_tail(&body, 0), 0x0F);
        let nonce = [0xD1, 0x9E, 0x02, 0x0A, 0x00, 0x35, 0x00, 0x00];
        assert_eq!(reply_tail(&nonce, 0x80), 0x8A);
        assert_eq!(
            crc5(&[0xD1, 0x9E, 0x02, 0x0A, 0x00, 0x35, 0x00, 0x00, 0x8A]),
            0
        );
    }
}
