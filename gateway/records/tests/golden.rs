//! Batches written by Apache Kafka's own serialiser (kafka-clients 4.3.1, `MemoryRecords.withIdempotentRecords` and
//! `withRecords` on Java 17, snappy-java 1.1.10.7, lz4-java 1.10.2, zstd-jni 1.5.6-10): bytes from outside, so that
//! a mistake made both in writing and in reading cannot hide.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

mod support;

use bytes::Bytes;
use sluice_records::{
    BatchHeader, Compression, Record, TimestampType, find_timestamp, patch_extent, records, validate_produce,
};
use support::{ALL_CODECS, BatchSpec, LENIENT, MAX_DECOMPRESSED, Row};

/// Producer 4242, epoch 7, base sequence 2^31 - 2; three records: key, value and two headers (the second without a
/// value) at 1700000000000; a value without key at +100; a tombstone at -1.
const NONE: &str = "\
    000000000000000000000089ffffffff02396fcde80000000000020000018bcfe568000000018bcfe56864000000000000109200\
    077ffffffe000000032e000000066b65790a76616c7565040468310278046832015e00c8010201506f6e6c7920612076616c7565\
    2c206f6e6c7920612076616c75652c206f6e6c7920612076616c7565001e00010412746f6d6273746f6e650100";

const GZIP: &str = "\
    000000000000000000000082ffffffff02632ccf1b0001000000020000018bcfe568000000018bcfe56864000000000000109200\
    077ffffffe000000031f8b08000000000000ffd363606060cb4eade42a4bcc294d6561c93064aa60c930628c6338c1c8c418909f\
    9753a990a80096d451c0cd6390636064112ac9cf4d2a2ec9cf4b65640000e8302c8258000000";

const SNAPPY: &str = "\
    000000000000000000000088ffffffff02f1b7e6760002000000020000018bcfe568000000018bcfe56864000000000000109200\
    077ffffffe0000000382534e415050590000000001000000010000004358982e000000066b65790a76616c756504046831027804\
    6832015e00c8010201506f6e6c7920612076011d042c20660e0040001e00010412746f6d6273746f6e650100";

const LZ4: &str = "\
    000000000000000000000083ffffffff0229cc7d2c0003000000020000018bcfe568000000018bcfe56864000000000000109200\
    077ffffffe0000000304224d1860408243000000f1172e000000066b65790a76616c7565040468310278046832015e00c8010201\
    506f6e6c792061201d002f2c200e0007f002001e00010412746f6d6273746f6e65010000000000";

const ZSTD: &str = "\
    000000000000000000000080ffffffff023942842a0004000000020000018bcfe568000000018bcfe56864000000000000109200\
    077ffffffe0000000328b52ffd00581c020094032e000000066b65790a76616c7565040468310278046832015e00c8010201506f\
    6e6c792061202c20001e00010412746f6d6273746f6e6501000200312d3610d413010000";

/// Base offset 5, leader epoch 3, producer 9, transactional; one record with an empty value and no key.
const TRANSACTIONAL: &str = "\
    0000000000000005000000380000000302dddfdf6b0010000000000000018bcfe568000000018bcfe56800000000000000000900\
    0000000000000000010c000000010000";

/// 40 records `k0`.. at 1000 + i, each value 2000 times the byte i.
const LARGE_GZIP: &str = "\
    000000000000000000000257ffffffff029c9b8ce600010000002700000000000003e8000000000000040fffffffffffffffffff\
    ffffffffff000000281f8b08000000000000ffedd5614e9c651480d1113f4744a4888888d88b88d8344d330c030c4dd3344dd334\
    4dd38d7c9bba6b685ca0ef5dc64dcef9f32ce1f91a8bc5629a57590500bafb1a8b9d9d69bec9f8060068afd63e4dd3bcced80100\
    daabb52f97d37c9bf12d00d05ead7d77779a37191300d05ead7d6f6f9aef32be0300daabb5efef4ff37dc6120068afd67e7030cd\
    0f19df0300edd5da0f0fa7799bb10b00b4576b3f3a9ae6c78c1f0080f616ffc5e2f87839dfac32f60080f6eaed2727e3ed37193f\
    0200edd5db4f4fc7dbd719fb00407bf5f6b3b3f1f6db8c9f0080f6eaede7e7e3ed9b8c0300a0bd7afbd3a7e3ed77194f0080f6ea\
    ed1717e3edf7198700407bf5f6cbcbf1f6878c9f0180f6eaed5757e3eddb8c2300a0bd7afbf5f578fb63c62f00407bf5f667cf96\
    f37a95710c00b4576f7ffe7cbcfd26e35700a0bd7afb8b17e3edeb8c1300a0bd7afbcb97e3edb719bf0100edd5db57abf1f64dc6\
    2900d05ebd7dbd1e6fbfcbf81d0068afdebed98cb7df679c0100edd5dbefefc7db1f32fe0000daabb76fb7e3eddb8c7300a0bd7a\
    fbab57e3ed8f197f0200edd5db5fbf5eceb7ab8ca700407bf5f6376fc6db6f320080feeaed6fdf8eb7af332e0080f6eaedefde8d\
    b7df66fc0500b4576f7fff7ebc7d93710900b4576ffff061bcfd2ee36f00a0bd7afbc78fe3edf7195700407bf5f64f9fc6db1f32\
    fe0100daabb77ffe3cdebecdb80600daabb77ff932defe98f12f00d0dee27fad4fdfd5563a0100";

const LARGE_LZ4: &str = "\
    0000000000000000000003e6ffffffff02413b776800030000002700000000000003e8000000000000040fffffffffffffffffff\
    ffffffffff0000002804224d18604082f202000090b21f000000046b30a008000f0200ffffffffffffffc2bfb21f000202046b31\
    a01f010100ffffffffffffffc3cf00b21f000404046b32a01f020100ffffffffffffffc300db078f0606046b33a01f030100ffff\
    ffffffffffc300db078f0808046b34a01f040100ffffffffffffffc300db078f0a0a046b35a01f050100ffffffffffffffc300db\
    078f0c0c046b36a01f060100ffffffffffffffc300db078f0e0e046b37a01f070100ffffffffffffffc300db078f1010046b38a0\
    1f080100ffffffffffffffc300db078f1212046b39a01f090100ffffffffffffffc3df00b41f001414066b3130a01f0a0100ffff\
    ffffffffffc300dc079f1616066b3131a01f0b0100ffffffffffffffc300dc079f1818066b3132a01f0c0100ffffffffffffffc3\
    00dc079f1a1a066b3133a01f0d0100ffffffffffffffc300dc079f1c1c066b3134a01f0e0100ffffffffffffffc300dc079f1e1e\
    066b3135a01f0f0100ffffffffffffffc300dc079f2020066b3136a01f100100ffffffffffffffc300dc079f2222066b3137a01f\
    110100ffffffffffffffc300dc079f2424066b3138a01f120100ffffffffffffffc300dc079f2626066b3139a01f130100ffffff\
    ffffffffc300dc079f2828066b3230a01f140100ffffffffffffffc300dc079f2a2a066b3231a01f150100ffffffffffffffc300\
    dc079f2c2c066b3232a01f160100ffffffffffffffc300dc079f2e2e066b3233a01f170100ffffffffffffffc300dc079f303006\
    6b3234a01f180100ffffffffffffffc300dc079f3232066b3235a01f190100ffffffffffffffc300dc079f3434066b3236a01f1a\
    0100ffffffffffffffc300dc079f3636066b3237a01f1b0100ffffffffffffffc300dc079f3838066b3238a01f1c0100ffffffff\
    ffffffc300dc079f3a3a066b3239a01f1d0100ffffffffffffffc300dc079f3c3c066b3330a01f1e0100ffffffffffffffc300dc\
    078f3e3e066b3331a01f0100ffffffffffffffc400dc079f4040066b3332a01f200100ffffffff6a502020202020b00000001f20\
    0100ffffff40df00b41f004242066b3333a01f210100ffffffffffffffc300dc079f4444066b3334a01f220100ffffffffffffff\
    c300dc079f4646066b3335a01f230100ffffffffffffffc300dc079f4848066b3336a01f240100ffffffffffffffc300dc079f4a\
    4a066b3337a01f250100ffffffffffffffc300dc079f4c4c066b3338a01f260100ffffffffffffffc300dc079f4e4e066b3339a0\
    1f270100ffffffffffffffbf50272727270000000000";

const LARGE_ZSTD: &str = "\
    0000000000000000000001f4ffffffff0230b1a8bd00040000002700000000000003e8000000000000040fffffffffffffffffff\
    ffffffffff0000002828b52ffd0058bc0d00c65f582f308b281d40015644444444040c1c0ca850a0504141fa49c9277be7880a4c\
    87e9409ee5b37c96cff2593e1b25978da54a004b004900eb57a9d45902c6ce1585524f7d18a5abc9a49e3ac0c8b99248eaa9678c\
    ae22917aaa00e3e60a02a9a72a2374f578d4530318dbd55d3dd56164574ad5530118d795c3514f353e576d3d050e0e753681b1b3\
    7e0d0d75966294d68f81a1ce223072d66f61a1ce4e8cd1fa2928d4d903c6cdfa693475566284d62f93a9b3068c6dfd30983a1b31\
    b2f5bb5cea6c01e35a3f8ba5ce428c4fce3a3076d84f42a2ce668c12fb49529d6d60e4b05f14d5598c31623f08aab30c8c1bf663\
    acce5e8c10fb3d4f9d5d606cec171151672d46c67e101075568171b1dfc3439dad181ff60b9560ecb4df840975b6c128b5dfc646\
    9d8d60e4b49f86469d653046ed97915167211837ed87815167178c50fb5d5cd4d907c6d67e16167556c1c8daafa2a2ce1a57fb51\
    50d4598df169bf8989062814002ecc7fcc7fcc7fcc7fcc7fcc7fcc7fccffe613e63fe63fe63fe63fe63fe63fe63fe63fe63fe63f\
    e63fe63fe63fe63fe63fe63fe63fe63fe63fe63fe63ff389f9c47c623e319f984fcc27e613f3be792f010000";

const LARGE_SNAPPY: &str = "\
    000000000000000000001138ffffffff020e15362a00020000002700000000000003e8000000000000040fffffffffffffffffff\
    ffffffffff0000002882534e41505059000000000100000001000006e480800220b21f000000046b30a00108fe0100fe0100fe01\
    00fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100\
    fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe010036010028b21f000202046b31a01f01fe0100fe\
    0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01\
    00fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01003a0100e1db1c0404046b32a01f02fe\
    0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01\
    00fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01003a0100e1db1c0606046b33a0\
    1f03fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01\
    00fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01003a0100e1db1c080804\
    6b34a01f04fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01\
    00fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01003a0100e1db1c\
    0a0a046b35a01f05fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01\
    00fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01003a0100\
    e1db1c0c0c046b36a01f06fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01\
    00fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100\
    3a0100e1db1c0e0e046b37a01f07fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01\
    00fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100\
    fe01003a0100e1db1c1010046b38a01f08fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01\
    00fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100\
    fe0100fe01003a0100e1db1c1212046b39a01f09fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01\
    00fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100\
    fe0100fe0100fe01003a01003000b41f001414066b3130a01f0afe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01\
    00fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100\
    fe0100fe0100fe0100fe0100fe01003a0100e1dc201616066b3131a01f0bfe0100fe0100fe0100fe0100fe0100fe0100fe0100fe\
    0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01\
    00fe0100fe0100fe0100fe0100fe0100fe01003a0100e1dc201818066b3132a01f0cfe0100fe0100fe0100fe0100fe0100fe0100\
    fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe\
    0100fe0100fe0100fe0100fe0100fe0100fe0100fe01003a0100e1dc201a1a066b3133a01f0dfe0100fe0100fe0100fe0100fe01\
    00fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100\
    fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01003a0100e1dc201c1c066b3134a01f0efe0100fe0100fe0100fe\
    0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01\
    00fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01003a0100e1dc201e1e066b3135a01f0ffe0100fe0100\
    fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe\
    0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01003a0100e1dc202020066b3136a01f10fe01\
    00fe0100fe0100fe0100fe0100fe0100fe0100fe0100f60100000006e18080020010fe0100fe0100fe0100fe0100fe0100fe0100\
    fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01003e010030\
    00b41f002222066b3137a01f11fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100\
    fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe\
    01003a0100e1dc202424066b3138a01f12fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01\
    00fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100\
    fe0100fe01003a0100e1dc202626066b3139a01f13fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe\
    0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01\
    00fe0100fe0100fe01003a0100e1dc202828066b3230a01f14fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100\
    fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe\
    0100fe0100fe0100fe0100fe01003a0100e1dc202a2a066b3231a01f15fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01\
    00fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100\
    fe0100fe0100fe0100fe0100fe0100fe01003a0100e1dc202c2c066b3232a01f16fe0100fe0100fe0100fe0100fe0100fe0100fe\
    0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01\
    00fe0100fe0100fe0100fe0100fe0100fe0100fe01003a0100e1dc202e2e066b3233a01f17fe0100fe0100fe0100fe0100fe0100\
    fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe\
    0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01003a0100e1dc203030066b3234a01f18fe0100fe0100fe0100fe01\
    00fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100\
    fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01003a0100e1dc203232066b3235a01f19fe0100fe0100fe\
    0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01\
    00fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01003a0100e1dc203434066b3236a01f1afe0100\
    fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe\
    0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01003a0100e1dc203636066b3237a01f\
    1bfe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100\
    fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01003a0100e1dc203838066b\
    3238a01f1cfe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01\
    00fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01003a0100e1dc20\
    3a3a066b3239a01f1dfe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe\
    0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01003a01\
    00e1dc203c3c066b3330a01f1efe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100\
    fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe\
    01003a0100e1dc1c3e3e066b3331a01ffe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100\
    fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe\
    0100fe01003e0100e1dc204040066b3332a01f20fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01\
    00fe0100fe0100fe0100fe0100fe0100fe0100f6010000000326d6740020fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe\
    0100fe0100fe0100fe0100fe0100fe01003e01003000b41f004242066b3333a01f21fe0100fe0100fe0100fe0100fe0100fe0100\
    fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe\
    0100fe0100fe0100fe0100fe0100fe0100fe0100fe01003a0100e1dc204444066b3334a01f22fe0100fe0100fe0100fe0100fe01\
    00fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100\
    fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01003a0100e1dc204646066b3335a01f23fe0100fe0100fe0100fe\
    0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01\
    00fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01003a0100e1dc204848066b3336a01f24fe0100fe0100\
    fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe\
    0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01003a0100e1dc204a4a066b3337a01f25fe01\
    00fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100\
    fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01003a0100e1dc204c4c066b3338a0\
    1f26fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01\
    00fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01003a0100e1dc204e4e06\
    6b3339a01f27fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe\
    0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe01003a01000000";

fn unhex(text: &str) -> Bytes {
    let nibble = |digit: u8| (digit as char).to_digit(16).unwrap() as u8;
    text.as_bytes().chunks(2).map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])).collect()
}

fn golden() -> Vec<(Compression, Bytes)> {
    ALL_CODECS.into_iter().zip([NONE, GZIP, SNAPPY, LZ4, ZSTD].map(unhex)).collect()
}

fn record(offset_delta: i32, timestamp_delta: i64, key: Option<&'static str>, value: Option<&'static str>) -> Record {
    let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
    Record {
        attributes: 0,
        timestamp_delta,
        offset_delta,
        key: key.map(bytes),
        value: value.map(bytes),
        headers: vec![],
    }
}

fn expected_records() -> Vec<Record> {
    let mut first = record(0, 0, Some("key"), Some("value"));
    first.headers =
        vec![(Bytes::from_static(b"h1"), Some(Bytes::from_static(b"x"))), (Bytes::from_static(b"h2"), None)];
    let only_a_value = "only a value, only a value, only a value";
    vec![first, record(1, 100, None, Some(only_a_value)), record(2, -1, Some("tombstone"), None)]
}

#[test]
fn every_header_field_of_kafkas_batch_is_read() {
    for (codec, batch) in golden() {
        let header = BatchHeader::parse(&batch).unwrap();
        let expected = BatchHeader {
            base_offset: 0,
            batch_length: i32::try_from(batch.len()).unwrap() - 12,
            partition_leader_epoch: -1,
            magic: 2,
            crc: u32::from_be_bytes(batch[17..21].try_into().unwrap()),
            attributes: codec.code(),
            last_offset_delta: 2,
            base_timestamp: 1_700_000_000_000,
            max_timestamp: 1_700_000_000_100,
            producer_id: 4242,
            producer_epoch: 7,
            base_sequence: i32::MAX - 1,
            record_count: 3,
        };
        assert_eq!(header, expected, "{codec:?}");
        assert_eq!(header.total_len(), batch.len());
        assert_eq!(header.compression().unwrap(), codec);
        assert_eq!(header.timestamp_type(), TimestampType::CreateTime);
        assert!(!header.is_transactional() && !header.is_control() && header.has_producer());
        // 2^31 - 2 + 2 wraps to 0, as in Kafka.
        assert_eq!(header.last_sequence(), 0);
        assert_eq!(&header.encode()[..], &batch[..61]);
    }
}

#[test]
fn kafkas_batches_are_valid_and_their_records_readable_with_every_codec() {
    for (codec, batch) in golden() {
        let valid = validate_produce(&batch, &LENIENT).unwrap();
        assert_eq!(valid.to_bytes(), batch);
        assert_eq!(valid.crc_of_all, crc32c::crc32c(&batch));
        let read: Vec<Record> = records(&batch, MAX_DECOMPRESSED).unwrap().map(Result::unwrap).collect();
        assert_eq!(read, expected_records(), "{codec:?}");
        let found = find_timestamp(&batch, 0, 1_700_000_000_001, MAX_DECOMPRESSED).unwrap();
        assert_eq!(found, Some((1, 1_700_000_000_100)));
    }
}

#[test]
fn what_is_built_here_is_byte_for_byte_what_kafka_builds() {
    let row = |timestamp, key: Option<&str>, value: Option<&str>, headers: support::Headers| {
        let bytes = |text: &str| text.as_bytes().to_vec();
        Row { timestamp, key: key.map(bytes), value: value.map(bytes), headers }
    };
    let spec = BatchSpec {
        codec: Compression::None,
        producer: Some((4242, 7, i32::MAX - 1, false)),
        rows: vec![
            row(
                1_700_000_000_000,
                Some("key"),
                Some("value"),
                vec![(b"h1".to_vec(), Some(b"x".to_vec())), (b"h2".to_vec(), None)],
            ),
            row(1_700_000_000_100, None, Some("only a value, only a value, only a value"), vec![]),
            row(1_699_999_999_999, Some("tombstone"), None, vec![]),
        ],
    };
    assert_eq!(spec.build(), unhex(NONE));
}

#[test]
fn kafkas_transactional_batch_is_read() {
    let batch = unhex(TRANSACTIONAL);
    let header = BatchHeader::parse(&batch).unwrap();
    assert!(header.is_transactional() && !header.is_control());
    assert_eq!((header.base_offset, header.partition_leader_epoch), (5, 3));
    assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (9, 0, 0));
    let read: Vec<Record> = records(&batch, 0).unwrap().map(Result::unwrap).collect();
    assert_eq!(read, vec![record(0, 0, None, Some(""))]);
    // Patched to where it says it is, it is the same batch again (I-10).
    let (chunks, len) = patch_extent(std::slice::from_ref(&batch), 5, 1, 3, true).unwrap();
    assert_eq!(support::concat(&chunks), batch);
    assert_eq!(len, batch.len());
}

#[test]
fn kafkas_large_compressed_batches_are_read() {
    for golden in [LARGE_GZIP, LARGE_LZ4, LARGE_ZSTD, LARGE_SNAPPY] {
        let batch = unhex(golden);
        validate_produce(&batch, &LENIENT).unwrap();
        let read: Vec<Record> = records(&batch, MAX_DECOMPRESSED).unwrap().map(Result::unwrap).collect();
        assert_eq!(read.len(), 40);
        for (index, record) in read.iter().enumerate() {
            assert_eq!(record.key.as_deref(), Some(format!("k{index}").as_bytes()));
            assert_eq!(record.value.as_deref(), Some(&[index as u8; 2000][..]));
            assert_eq!((record.offset_delta as usize, record.timestamp_delta as usize), (index, index));
        }
    }
}
