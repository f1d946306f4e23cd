//! Every key of the config: its type, default, range and meaning. The reader takes the known
//! keys from here and `docs/config.md` is made from here, so neither can forget one.

use std::fmt::Write;

/// A table of the config.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Name as the reader knows it, e.g. `board.sim`.
    pub name: &'static str,
    /// How it is written in the file.
    pub heading: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

/// A key of a table.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Name.
    pub name: &'static str,
    /// Type of the value, in words.
    pub kind: &'static str,
    /// Value if the key is left out; `None` if it must be there.
    pub default: Option<&'static str>,
    /// What values are allowed.
    pub range: &'static str,
    /// What it means.
    pub about: &'static str,
    /// A value as it would stand in the file.
    pub example: &'static str,
}

/// All tables, in the order in which a config has them.
pub const SECTIONS: &[Section] = &[
    AGENT,
    UPSTREAM,
    POOL,
    PASSWORD,
    TLS,
    BOARD,
    BOARD_SIM,
    COOLING,
    TUNER,
    TUNER_TARGET,
    TUNER_SCHEDULE,
    TUNER_PRICE,
    TUNER_PRICE_STEP,
    TUNER_SURPLUS,
    TUNER_STALE,
    API,
    API_TLS,
    HISTORY,
    CGMINER,
    AXEOS,
    MQTT,
    WEBHOOK,
    MDNS,
];

/// Tables that configs will have, and that this version refuses rather than ignores: name, and
/// what is meant to be set there.
pub const PLANNED: &[(&str, &str)] = &[];

const AGENT: Section = Section {
    name: "agent",
    heading: "[agent]",
    about: "The agent itself. May be left out.",
    keys: &[
        Key {
            name: "name",
            kind: "text",
            default: Some("\"hashwright\""),
            range: "1 to 63 letters, digits, `-`, `_`, `.`",
            about: "Name of this miner in status and logs.",
            example: "\"rack-3-7\"",
        },
        Key {
            name: "state_dir",
            kind: "path",
            default: Some("\"/var/lib/hashwright\""),
            range: "a directory that the agent may write to",
            about: "Where the agent keeps what must outlive a restart: faults that only a person may \
                    clear. For simulated boards only where this key is given.",
            example: "\"/var/lib/hashwright\"",
        },
    ],
};

const UPSTREAM: Section = Section {
    name: "upstream",
    heading: "[upstream]",
    about: "How work is taken from the pools. May be left out.",
    keys: &[
        Key {
            name: "strategy",
            kind: "text",
            default: Some("\"failover\""),
            range: "`failover` or `quota`",
            about: "`failover`: all work goes to the first pool of the list that works. Pools above it are \
                    tried in the background, and the best one that has proved itself gets the work back. \
                    `quota`: all pools are connected, and each gets its `quota` of the hashing time; \
                    the part of a pool that is away goes to the others in proportion.",
            example: "\"quota\"",
        },
        Key {
            name: "return_after_s",
            kind: "whole number",
            default: Some("60"),
            range: "0 to 604800",
            about: "How long a pool that had failed must be connected and give work without a break \
                    before it gets work again while another pool works, seconds.",
            example: "60",
        },
        Key {
            name: "idle_after_s",
            kind: "whole number",
            default: Some("600"),
            range: "0 to 604800; 0 for never",
            about: "After so many seconds without work from any pool the boards are wound down and \
                    switched off, as far as the agent controls their power. Pools are tried on, and the first \
                    work wakes the boards.",
            example: "1800",
        },
        Key {
            name: "proxy",
            kind: "text",
            default: Some("none"),
            range: "`socks5://host:port`",
            about: "SOCKS5 proxy for all pools. It also resolves their names, so that `.onion` names work \
                    and nobody else learns where you mine. Tor listens at `socks5://127.0.0.1:9050`.",
            example: "\"socks5://127.0.0.1:9050\"",
        },
        Key {
            name: "proxy_user",
            kind: "text",
            default: Some("none"),
            range: "1 to 255 bytes; together with `proxy_password`",
            about: "User at the proxy. Tor uses a separate circuit for each.",
            example: "\"miner\"",
        },
        Key {
            name: "proxy_password",
            kind: "text or table",
            default: Some("none"),
            range: "as a pool's `password`",
            about: "Password at the proxy. It is never logged, shown or returned.",
            example: "{ file = \"proxy.secret\" }",
        },
    ],
};

const POOL: Section = Section {
    name: "pool",
    heading: "[[pool]]",
    about: "One upstream: a pool, or a node of your own. At least one, at most 16; with `failover` their \
            order is their priority. Pools of all protocols mix.",
    keys: &[
        Key {
            name: "url",
            kind: "text",
            default: None,
            range: "`stratum+tcp://host:port` (also `tcp://` or nothing in front), \
                    `stratum+tls://host:port`, `stratum2+tcp://host:port/KEY`, `http://host:port`, \
                    `https://host:port`; an IPv6 address in brackets",
            about: "Where the pool listens, and what it speaks: Stratum V1, V1 over TLS, Stratum V2 with the \
                    authority key that the pool publishes, or a Bitcoin node's RPC for solo mining (ports \
                    8332 and 443 if left out). No user or password goes in here.",
            example: "\"stratum+tcp://pool.example:3333\"",
        },
        Key {
            name: "user",
            kind: "text",
            default: None,
            range: "1 to 256 characters, no spaces; for a node only together with `password`",
            about: "User or payout address as the pool wants it, usually followed by a dot and \
                    the worker's name. For a node the RPC user.",
            example: "\"bc1qexample.rack-3-7\"",
        },
        Key {
            name: "password",
            kind: "text or table",
            default: Some("\"x\""),
            range: "up to 512 characters; or `{ file = \"...\" }`; or `{ env = \"...\" }`; not for Stratum \
                    V2",
            about: "Password; most pools ignore it. For a node the RPC password. It is never logged, shown or \
                    returned.",
            example: "{ file = \"pool.secret\" }",
        },
        Key {
            name: "quota",
            kind: "whole number",
            default: Some("none; required with `strategy = \"quota\"`"),
            range: "1 to 100; those of all pools add up to 100",
            about: "Percentage of the hashing time that this pool gets.",
            example: "70",
        },
        Key {
            name: "payout_address",
            kind: "text",
            default: Some("the address that `user` begins with, if it does; required for a node"),
            range: "a Bitcoin address of any type, of the right network",
            about: "Who is paid. For a node: to whom the blocks that you find pay. For a pool: whom you expect its \
                    blocks to pay; you are told when they do not. Pools that collect the reward and pay you \
                    later never do: leave it out there.",
            example: "\"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4\"",
        },
        Key {
            name: "min_payout_percent",
            kind: "number",
            default: Some("none"),
            range: "0 to 100; needs `payout_address`",
            about: "Refuse work that pays that address less than this part of the block reward. A pool whose \
                    work is refused counts as failed, and others take over.",
            example: "90",
        },
        Key {
            name: "network",
            kind: "text",
            default: Some(
                "the one that the address belongs to, if it is only one; else the node's",
            ),
            range: "`main`, `testnet`, `testnet4`, `signet` or `regtest`",
            about: "Network that must be mined on. An address of another network, and a node on another \
                    one, are refused.",
            example: "\"main\"",
        },
        Key {
            name: "cookie_file",
            kind: "path",
            default: Some("none"),
            range: "only for a node, instead of `user` and `password`; may begin with `~/`",
            about: "The node's cookie file, which it writes anew at each start into its data directory.",
            example: "\"~/.bitcoin/.cookie\"",
        },
        Key {
            name: "coinbase_tag",
            kind: "text",
            default: Some("\"/hashwright/\""),
            range: "up to 64 printable ASCII characters; only for a node",
            about: "What the blocks that you find say of who found them.",
            example: "\"/rack-3-7/\"",
        },
        Key {
            name: "tls",
            kind: "table",
            default: Some("the certificate authorities of this system"),
            range: "only with `stratum+tls://` and `https://`",
            about: "How the server is known; see below.",
            example: "{ ca = \"pool-ca.pem\" }",
        },
        Key {
            name: "channel",
            kind: "text",
            default: Some("\"extended\""),
            range: "`extended` or `standard`; only for Stratum V2",
            about: "Kind of channel. On a standard channel the pool makes the headers: fast machines run out \
                    of work between two jobs, and nobody can see what the jobs pay. For simple pools only.",
            example: "\"standard\"",
        },
        Key {
            name: "trust_any_key",
            kind: "true or false",
            default: Some("false"),
            range: "only for Stratum V2 without a key in the URL",
            about: "Connect without knowing the pool's authority key. Anybody between you and the pool can \
                    then take your hashes.",
            example: "true",
        },
        Key {
            name: "proxy",
            kind: "text",
            default: Some("that of `[upstream]`"),
            range: "`socks5://host:port`, or `none`",
            about: "SOCKS5 proxy for this pool alone; `none` goes there directly, as one wants for a node in \
                    the same house.",
            example: "\"none\"",
        },
        Key {
            name: "proxy_user",
            kind: "text",
            default: Some("none"),
            range: "1 to 255 bytes; together with `proxy_password`",
            about: "User at this pool's own proxy.",
            example: "\"miner\"",
        },
        Key {
            name: "proxy_password",
            kind: "text or table",
            default: Some("none"),
            range: "as `password`",
            about: "Password at this pool's own proxy.",
            example: "{ file = \"proxy.secret\" }",
        },
        Key {
            name: "suggest_difficulty",
            kind: "number",
            default: Some("none"),
            range: "0.000001 to 1e15; only for Stratum V1",
            about: "Share difficulty to ask the pool for. Pools may ignore it.",
            example: "2048",
        },
        Key {
            name: "extranonce_subscribe",
            kind: "true or false",
            default: Some("false"),
            range: "only for Stratum V1",
            about: "Ask the pool to announce changes of the extranonce. `#xnsub` at the end of \
                    the URL does the same. Leave it off unless the pool wants it: some pools \
                    hang up on the request.",
            example: "true",
        },
        Key {
            name: "version_rolling",
            kind: "true or false",
            default: Some("true"),
            range: "only for Stratum V1",
            about: "Ask the pool to let chips roll version bits. Without it most chips run out \
                    of work quickly and lose hashrate.",
            example: "true",
        },
    ],
};

const PASSWORD: Section = Section {
    name: "pool.password",
    heading: "password = { ... }",
    about: "A password that does not stand in the config. Exactly one of the two keys.",
    keys: &[
        Key {
            name: "file",
            kind: "path",
            default: Some("none"),
            range: "a file of at most 4096 bytes with one line; a relative path starts at the \
                    config's directory",
            about: "File that holds the password. A line end at its end does not count.",
            example: "\"pool.secret\"",
        },
        Key {
            name: "env",
            kind: "text",
            default: Some("none"),
            range: "name of a variable that is set and not empty",
            about: "Environment variable that holds the password.",
            example: "\"POOL_PASSWORD\"",
        },
    ],
};

const TLS: Section = Section {
    name: "pool.tls",
    heading: "tls = { ... }",
    about: "How the server of a TLS connection is known. Exactly one of the two keys.",
    keys: &[
        Key {
            name: "ca",
            kind: "path",
            default: Some("none"),
            range: "a PEM file of at most 1 MiB; a relative path starts at the config's directory",
            about: "Certificates of the authorities that are trusted for this pool, instead of the system's.",
            example: "\"pool-ca.pem\"",
        },
        Key {
            name: "fingerprint",
            kind: "text",
            default: Some("none"),
            range: "64 hexadecimal digits, with or without colons",
            about: "SHA-256 of the server's certificate. Exactly this one is trusted, whatever its name or its \
                    dates: `openssl x509 -in server.pem -noout -fingerprint -sha256` shows it, and so does the \
                    error when a certificate is not trusted.",
            example: "\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"",
        },
    ],
};

const BOARD: Section = Section {
    name: "board",
    heading: "[[board]]",
    about: "One hash board. At least one, at most 64.",
    keys: &[
        Key {
            name: "profile",
            kind: "text",
            default: None,
            range: "a name from [the list of boards](hardware.md), or a path to a TOML file (it \
                    contains `/` or ends in `.toml`; a relative path starts at the config's \
                    directory)",
            about: "What the board is, with its limits. Nothing in a config can pass the limits \
                    of the profile.",
            example: "\"bitaxe-gamma\"",
        },
        Key {
            name: "uart",
            kind: "text",
            default: None,
            range: "a device path; `tcp:host:port`; `unix:/path`; or `sim`",
            about: "Where the chips' serial line is. `sim` starts a simulated board: it mines, \
                    but earns nothing, and is marked simulated everywhere. `tcp:` and `unix:` \
                    reach [serial servers](hardware.md#boards-behind-a-serial-server) and \
                    emulators.",
            example: "\"/dev/ttyACM1\"",
        },
        Key {
            name: "control",
            kind: "text",
            default: Some("`\"sim\"` for simulated boards, else none"),
            range: "a device path, `tcp:host:port` or `unix:/path`; `linux`; `external`; for \
                    simulated boards `sim` or `external`",
            about: "Who controls the board's power, fans and reset. Required for real boards. A port \
                    is the control port of the board's controller, which the agent then uses. \
                    `linux` uses I2C, GPIO and PWM of this machine, as the profile says. \
                    `external` means: somebody else. **Nothing in this program then guards the \
                    board**, and the agent says so loudly. Boards that hang on one power supply may \
                    share a controller: write the same port for each. A simulated board with \
                    `external` is chips alone, always powered and never warm.",
            example: "\"/dev/ttyACM0\"",
        },
        Key {
            name: "serial",
            kind: "text",
            default: Some("none"),
            range: "1 to 64 printable characters",
            about: "The board's serial number, for reports.",
            example: "\"A-0042\"",
        },
        Key {
            name: "revision",
            kind: "text",
            default: Some("the newest that the profile knows"),
            range: "one of the profile's revisions",
            about: "Revision of the board. Parts and their addresses may differ between them; a wrong \
                    one shows as parts that are missing, and the board stays off.",
            example: "\"601\"",
        },
        Key {
            name: "slot",
            kind: "whole number",
            default: Some("by serial line where the profile knows it, else by order"),
            range: "0 to 15; where several boards share a supply",
            about: "Place of the board in its machine: which lines and addresses are its own.",
            example: "1",
        },
        Key {
            name: "frequency_mhz",
            kind: "number",
            default: Some("the profile's default"),
            range: "the profile's limits",
            about: "Clock of all chips, MHz.",
            example: "525",
        },
        Key {
            name: "voltage_mv",
            kind: "whole number",
            default: Some("the profile's default"),
            range: "the profile's limits",
            about: "Core voltage, mV: of one chip, of the board's rail or of the power supply, as \
                    [the list of boards](hardware.md) says. The agent lowers clock and voltage by \
                    itself where heat demands it, and returns to these. Without effect with \
                    `control = \"external\"`.",
            example: "1150",
        },
        Key {
            name: "enabled",
            kind: "true or false",
            default: Some("true"),
            range: "the same for all boards on one supply",
            about: "Whether the board mines. One that does not is left without power, as far as the agent \
                    controls it.",
            example: "false",
        },
        Key {
            name: "cooled_elsewhere",
            kind: "true or false",
            default: Some("false"),
            range: "must be true for real boards that drive no fan themselves",
            about: "Says that a person has made sure that something cools the board. Its temperatures \
                    are watched as ever.",
            example: "true",
        },
        Key {
            name: "scale_bits",
            kind: "whole number",
            default: Some("0"),
            range: "0 to 39 at ticket difficulty 256; not with `uart = \"sim\"`",
            about: "For a board that another program simulates, such as `hashwright sim`: the k of \
                    its scale of 2^-k. Its nonces are then held to k fewer zero bits, and the board \
                    is marked simulated everywhere. Leave it at 0 for silicon, or bad nonces \
                    pass as good.",
            example: "22",
        },
        Key {
            name: "sim",
            kind: "table",
            default: Some("none"),
            range: "only with `uart = \"sim\"`",
            about: "How the board is simulated; see below.",
            example: "{ seed = 7 }",
        },
    ],
};

const BOARD_SIM: Section = Section {
    name: "board.sim",
    heading: "sim = { ... }",
    about: "How a simulated board behaves. May be left out.",
    keys: &[
        Key {
            name: "scale_bits",
            kind: "whole number",
            default: Some("the profile's"),
            range: "0 to 40, and fewer than the zero bits that the profile's ticket asks for: 0 to 39 \
                    at difficulty 256",
            about: "The board hashes at 2^-scale_bits of the silicon's rate. Each bit less \
                    doubles the load on this machine's processor.",
            example: "22",
        },
        Key {
            name: "seed",
            kind: "whole number",
            default: Some("the board's position in the file, from 0"),
            range: "0 to 9223372036854775807",
            about: "Seed of everything random in the board: equal seeds give equal boards.",
            example: "7",
        },
        Key {
            name: "lost_bytes",
            kind: "number",
            default: Some("0"),
            range: "0 to 0.1",
            about: "Probability that a byte on the serial line is lost, per byte, in both \
                    directions.",
            example: "0.0001",
        },
        Key {
            name: "flipped_bytes",
            kind: "number",
            default: Some("0"),
            range: "0 to 0.1",
            about: "Probability that a byte on the serial line has a bit flipped, per byte, in \
                    both directions.",
            example: "0.0001",
        },
        Key {
            name: "split_bytes",
            kind: "number",
            default: Some("0"),
            range: "0 to 0.1",
            about: "Probability that a byte on the serial line arrives as two, per byte, in both \
                    directions.",
            example: "0.0001",
        },
        Key {
            name: "ambient_c",
            kind: "number",
            default: Some("25"),
            range: "-20 to 60",
            about: "Temperature of the air that the board draws in, °C.",
            example: "35",
        },
        Key {
            name: "quality",
            kind: "text",
            default: Some("\"normal\""),
            range: "`good`, `normal` or `poor`",
            about: "How good the board's chips are.",
            example: "\"poor\"",
        },
        Key {
            name: "controller",
            kind: "text",
            default: Some("what such boards usually have"),
            range: "`bitaxe-raw`, `bitaxe-raw-total`, `emberone`, `bitcrane` or `guarded`",
            about: "Firmware of the board's controller. `guarded` is ours, with a guard of its own.",
            example: "\"guarded\"",
        },
        Key {
            name: "faults",
            kind: "list of texts",
            default: Some("none"),
            range: "up to 32 of `NAME@TIME` or `NAME:VALUE@TIME`; the time after the start in `ms`, `s`, `m` or `h`",
            about: "What goes wrong with the board, and when; [all faults](#faults-of-simulated-boards).",
            example: "[\"fan-stuck@60s\"]",
        },
    ],
};

const COOLING: Section = Section {
    name: "cooling",
    heading: "[cooling]",
    about: "How boards are cooled that the agent controls. May be left out. No mode touches the \
            temperatures at which boards are switched off: those stand in their profiles.",
    keys: &[
        Key {
            name: "mode",
            kind: "text",
            default: Some("\"auto\""),
            range: "`auto`, `manual` or `immersion`",
            about: "`auto` holds a temperature with as little noise as possible. `manual` holds a \
                    duty. `immersion` looks after no fans. In every mode the guard raises the fans \
                    whenever it doubts anything.",
            example: "\"manual\"",
        },
        Key {
            name: "manual_percent",
            kind: "whole number",
            default: Some("none; required with `mode = \"manual\"`"),
            range: "0 to 100",
            about: "Duty of the fans in manual mode, percent.",
            example: "70",
        },
        Key {
            name: "target_c",
            kind: "number",
            default: Some("each profile's"),
            range: "30 to 100, and at least 5 below the temperature from which the profile throttles",
            about: "Temperature that automatic mode holds, °C.",
            example: "60",
        },
        Key {
            name: "confirm_immersion",
            kind: "true or false",
            default: Some("false"),
            range: "must be true with `mode = \"immersion\"`",
            about: "Says that a person has made sure that all boards of this miner are in liquid.",
            example: "true",
        },
    ],
};

const TUNER: Section = Section {
    name: "tuner",
    heading: "[tuner]",
    about: "What clocks and voltage are tuned for (see [tuning.md](tuning.md)), and what changes that by time, price, \
            surplus and heat (see [demand.md](demand.md)). May be left out.",
    keys: &[
        Key {
            name: "target",
            kind: "text or table",
            default: Some("\"off\""),
            range: "`\"off\"`, `\"efficiency\"`, or a table with one aim",
            about: "What is sought: least energy per work, so much power, so much work, or the greatest profit. Of all boards together. `off` leaves \
                    clock and voltage as `[[board]]` or the profile has them.",
            example: "{ watts = 900 }",
        },
        Key {
            name: "max_chip_c",
            kind: "number",
            default: Some("the profile's"),
            range: "40 to 120",
            about: "Highest chip temperature, °C. Limits of the profile hold besides, as for all keys here.",
            example: "65",
        },
        Key {
            name: "max_board_c",
            kind: "number",
            default: Some("the profile's"),
            range: "30 to 120",
            about: "Highest board temperature, °C.",
            example: "70",
        },
        Key {
            name: "max_fan_percent",
            kind: "number",
            default: Some("100"),
            range: "10 to 100",
            about: "Highest duty of the fans, for quiet; less power is used instead.",
            example: "40",
        },
        Key {
            name: "max_watts",
            kind: "number",
            default: Some("the profile's"),
            range: "1 to 1000000",
            about: "Highest input power of all boards together, W.",
            example: "1200",
        },
        Key {
            name: "max_mv",
            kind: "number",
            default: Some("the profile's"),
            range: "1 to 100000",
            about: "Highest voltage at a board's terminals, mV.",
            example: "1250",
        },
        Key {
            name: "heat_margin_k",
            kind: "number",
            default: Some("3"),
            range: "0 to 20; 0 for never",
            about: "As the hottest part comes this near to the temperature at which the station throttles, the cap of power is \
                    lowered smoothly, and raised again slowly. Only with a `target`.",
            example: "5",
        },
        Key {
            name: "min_awake_s",
            kind: "whole number",
            default: Some("300"),
            range: "0 to 86400",
            about: "Once awake, price and surplus let the miner sleep only after so many seconds. Schedule and curtailment \
                    do not wait.",
            example: "600",
        },
        Key {
            name: "min_asleep_s",
            kind: "whole number",
            default: Some("120"),
            range: "0 to 86400",
            about: "Once asleep by a rule, the miner sleeps for at least so many seconds.",
            example: "300",
        },
        Key {
            name: "time_zone",
            kind: "text",
            default: Some("the computer's"),
            range: "a name of the time zone database, or a POSIX rule",
            about: "Where the miner is, for the schedule.",
            example: "\"Europe/Berlin\"",
        },
        Key {
            name: "schedule",
            kind: "list of tables",
            default: Some("none"),
            range: "up to 64 `[[tuner.schedule]]`",
            about: "Times of day with rules of their own; see below.",
            example: "[{ from = \"17:00\", to = \"21:00\", sleep = true }]",
        },
        Key {
            name: "price",
            kind: "table",
            default: Some("none"),
            range: "`[tuner.price]`",
            about: "What the price of power rules; see below.",
            example: "{ file = \"/run/price\" }",
        },
        Key {
            name: "surplus",
            kind: "table",
            default: Some("none"),
            range: "`[tuner.surplus]`",
            about: "What the surplus of power rules; see below.",
            example: "{ floor_watts = 400 }",
        },
    ],
};

const TUNER_TARGET: Section = Section {
    name: "tuner.target",
    heading: "target = { … }",
    about: "One aim of the tuner.",
    keys: &[
        Key {
            name: "watts",
            kind: "number",
            default: Some("none"),
            range: "1 to 1000000",
            about: "As much work as this input power gives, W.",
            example: "900",
        },
        Key {
            name: "hashrate",
            kind: "text",
            default: Some("none"),
            range: "a number with GH/s, TH/s or PH/s",
            about: "This much work with as little power as can be.",
            example: "\"95 TH/s\"",
        },
        Key {
            name: "price_per_kwh",
            kind: "number",
            default: Some("none"),
            range: "0 to 1000000",
            about: "Price of a kilowatt-hour; with `revenue_per_ths_day`, in the same money.",
            example: "0.12",
        },
        Key {
            name: "revenue_per_ths_day",
            kind: "number",
            default: Some("none"),
            range: "above 0",
            about: "What a TH/s earns in a day.",
            example: "0.05",
        },
    ],
};

const TUNER_SCHEDULE: Section = Section {
    name: "tuner.schedule",
    heading: "[[tuner.schedule]]",
    about: "A time of day with rules of its own, by the time on the wall. Where several hold, all do.",
    keys: &[
        Key {
            name: "days",
            kind: "list of texts",
            default: Some("every day"),
            range: "`mon` to `sun`, and ranges like `mon-fri`",
            about: "Days on which it begins.",
            example: "[\"mon-fri\"]",
        },
        Key {
            name: "from",
            kind: "text",
            default: None,
            range: "00:00 to 24:00",
            about: "When it begins.",
            example: "\"22:00\"",
        },
        Key {
            name: "to",
            kind: "text",
            default: None,
            range: "00:00 to 24:00",
            about: "When it ends: on the next day if this is not later than `from`.",
            example: "\"06:00\"",
        },
        Key {
            name: "target",
            kind: "text or table",
            default: Some("that of `[tuner]`"),
            range: "as in `[tuner]`",
            about: "Another aim. Watts and hashrate of the aim in `[tuner]` are never passed by it, nor is a miner tuned \
                    whose own target is off.",
            example: "\"efficiency\"",
        },
        Key {
            name: "watts",
            kind: "number",
            default: Some("none"),
            range: "1 to 1000000",
            about: "Highest input power of all boards together, W.",
            example: "800",
        },
        Key {
            name: "sleep",
            kind: "true or false",
            default: Some("false"),
            range: "only `true`",
            about: "All boards are wound down and switched off.",
            example: "true",
        },
    ],
};

const TUNER_PRICE: Section = Section {
    name: "tuner.price",
    heading: "[tuner.price]",
    about: "What the price of power rules. Prices are told by `tuner.feed` of the API, over MQTT, or in a file; a target \
            `{ price_per_kwh, revenue_per_ths_day }` reckons with the price of now, with or without this table.",
    keys: &[
        Key {
            name: "file",
            kind: "path",
            default: Some("none"),
            range: "a file that another program writes",
            about: "Where the price stands: a number, or JSON or TOML with `price_per_kwh`, `revenue_per_ths_day` and \
                    `valid_s`. It is looked at every few seconds; its age counts from when it was written.",
            example: "\"/run/hashwright/price\"",
        },
        Key {
            name: "hysteresis",
            kind: "number",
            default: Some("0"),
            range: "0 to 1000000",
            about: "A step ends this far below its price.",
            example: "0.02",
        },
        Key {
            name: "valid_s",
            kind: "whole number",
            default: Some("7200"),
            range: "1 to 2592000",
            about: "How long a price holds that does not say it itself, seconds.",
            example: "7200",
        },
        Key {
            name: "stale",
            kind: "text or table",
            default: Some("\"ignore\""),
            range: "`\"ignore\"`, `\"sleep\"` or `{ watts = ... }`",
            about: "What holds while there is no price, or only one that is too old.",
            example: "{ watts = 800 }",
        },
        Key {
            name: "step",
            kind: "list of tables",
            default: Some("none"),
            range: "up to 16 `[[tuner.price.step]]`",
            about: "What follows above which price; see below.",
            example: "[{ above = 0.35, sleep = true }]",
        },
    ],
};

const TUNER_PRICE_STEP: Section = Section {
    name: "tuner.price.step",
    heading: "[[tuner.price.step]]",
    about: "A price and what follows above it; all that are passed hold.",
    keys: &[
        Key {
            name: "above",
            kind: "number",
            default: None,
            range: "-1000000 to 1000000",
            about: "Money per kilowatt-hour.",
            example: "0.25",
        },
        Key {
            name: "watts",
            kind: "number",
            default: Some("none"),
            range: "1 to 1000000; or `sleep`",
            about: "Highest input power of all boards together, W.",
            example: "800",
        },
        Key {
            name: "sleep",
            kind: "true or false",
            default: Some("none"),
            range: "only `true`; or `watts`",
            about: "All boards are wound down and switched off.",
            example: "true",
        },
    ],
};

const TUNER_SURPLUS: Section = Section {
    name: "tuner.surplus",
    heading: "[tuner.surplus]",
    about: "The miner draws no more than the surplus of power that is told by `tuner.feed` of the API, over MQTT, or in a \
            file.",
    keys: &[
        Key {
            name: "file",
            kind: "path",
            default: Some("none"),
            range: "a file that another program writes",
            about: "Where the surplus stands: a number of watts, or JSON or TOML with `surplus_w` and `valid_s`.",
            example: "\"/run/hashwright/surplus\"",
        },
        Key {
            name: "floor_watts",
            kind: "number",
            default: None,
            range: "1 to 1000000",
            about: "Below this surplus the miner sleeps, W; best a little above the least that it can run with.",
            example: "400",
        },
        Key {
            name: "wake_watts",
            kind: "number",
            default: Some("a tenth above `floor_watts`"),
            range: "`floor_watts` to 1000000",
            about: "From this surplus on it wakes, W.",
            example: "500",
        },
        Key {
            name: "at_meter",
            kind: "true or false",
            default: Some("false"),
            range: "`true` or `false`",
            about: "True if what is told is what flows out through the meter while the miner runs: its own power is added then.",
            example: "true",
        },
        Key {
            name: "smooth_s",
            kind: "whole number",
            default: Some("60"),
            range: "0 to 3600",
            about: "Time constant with which it is smoothed, seconds.",
            example: "120",
        },
        Key {
            name: "valid_s",
            kind: "whole number",
            default: Some("300"),
            range: "1 to 2592000",
            about: "How long a surplus holds that does not say it itself, seconds.",
            example: "300",
        },
        Key {
            name: "stale",
            kind: "text or table",
            default: Some("\"sleep\""),
            range: "`\"ignore\"`, `\"sleep\"` or `{ watts = ... }`",
            about: "What holds while there is none, or only one that is too old.",
            example: "\"ignore\"",
        },
    ],
};

const TUNER_STALE: Section = Section {
    name: "tuner.stale",
    heading: "stale = { ... }",
    about: "A cap of power while nothing is told.",
    keys: &[Key {
        name: "watts",
        kind: "number",
        default: None,
        range: "1 to 1000000",
        about: "Highest input power of all boards together, W.",
        example: "800",
    }],
};

const API: Section = Section {
    name: "api",
    heading: "[api]",
    about: "The API that the dashboard, `status` and other programs talk to. May be left out. Who may do \
            what and how to let other machines in is told in [security.md](security.md).",
    keys: &[
        Key {
            name: "listen",
            kind: "address and port",
            default: Some("\"127.0.0.1:4029\""),
            range: "",
            about: "Where to listen. Only this machine can reach a loopback address. On any other the API \
                    speaks TLS, and the agent does not start there before there is a token \
                    (`hashwright auth add`) or `pairing = \"start\"`. `0.0.0.0:4029` is every address.",
            example: "\"0.0.0.0:4029\"",
        },
        Key {
            name: "local",
            kind: "text",
            default: Some("\"read\""),
            range: "`none`, `read`, `operate`, `tune` or `admin`",
            about: "What programs on this machine may do without a token. The agent's own user may do \
                    everything in any case. Write `none` if people use this machine who \
                    must not see the miner, or if a proxy on it lets others in.",
            example: "\"operate\"",
        },
        Key {
            name: "tls",
            kind: "text or table",
            default: Some("\"auto\""),
            range: "`auto`, `off` (only on loopback), or `{ certificate = \"FILE\", key = \"FILE\" }`",
            about: "`auto`: TLS on other addresses than loopback, with a certificate that the agent makes \
                    once and keeps; `hashwright auth fingerprint` shows by what clients know it. Your own \
                    certificate is read again when its file changes.",
            example: "{ certificate = \"/etc/ssl/miner.pem\", key = \"/etc/ssl/private/miner.key\" }",
        },
        Key {
            name: "hosts",
            kind: "list of texts",
            default: Some("none"),
            range: "at most 16 host names, no wildcards",
            about: "Names by which people call this miner, besides its `[agent] name` (also with `.local`), \
                    `localhost` and addresses. Requests under other names are refused, because that is how \
                    a web page elsewhere would reach it (DNS rebinding).",
            example: "[\"miner.lan\"]",
        },
        Key {
            name: "origins",
            kind: "list of texts",
            default: Some("none"),
            range: "at most 16 origins, no wildcards",
            about: "Web pages of other sites whose requests are not turned away. They still need a token. \
                    The dashboard of this miner needs no entry.",
            example: "[\"https://farm.example\"]",
        },
        Key {
            name: "pairing",
            kind: "text",
            default: Some("\"off\""),
            range: "`off` or `start`",
            about: "`start`: as long as there is no token, a pairing code for the role admin is shown in \
                    the log, a new one every ten minutes. For a first start without a shell on the miner.",
            example: "\"start\"",
        },
    ],
};

const API_TLS: Section = Section {
    name: "api.tls",
    heading: "tls = { ... }",
    about: "A certificate of your own, in the place of `tls` of [api].",
    keys: &[
        Key {
            name: "certificate",
            kind: "path",
            default: None,
            range: "a PEM file",
            about: "The certificate, followed by those that lead from it to its authority.",
            example: "\"/etc/ssl/miner.pem\"",
        },
        Key {
            name: "key",
            kind: "path",
            default: None,
            range: "a PEM file that only the agent's user can read",
            about: "Its private key.",
            example: "\"/etc/ssl/private/miner.key\"",
        },
    ],
};

const HISTORY: Section = Section {
    name: "history",
    heading: "[history]",
    about: "What is kept of the past: every second for an hour, every minute for a week, every hour for a \
            year of the miner, its boards and its pools ([history.md](history.md)). May be left out.",
    keys: &[
        Key {
            name: "enabled",
            kind: "true or false",
            default: Some("true"),
            range: "",
            about: "Whether the past is kept at all.",
            example: "false",
        },
        Key {
            name: "max_mib",
            kind: "whole number",
            default: Some("16"),
            range: "1 to 1024",
            about: "Most room that it takes in the state directory, MiB. Four boards and three pools fill about a \
                    sixth of the default in a year; what does not fit goes oldest first.",
            example: "4",
        },
        Key {
            name: "write_every_s",
            kind: "whole number",
            default: Some("60"),
            range: "60 to 3600",
            about: "Seconds between two writes. A power cut costs what was not yet written.",
            example: "300",
        },
    ],
};

const CGMINER: Section = Section {
    name: "cgminer",
    heading: "[cgminer]",
    about: "The cgminer API, which monitoring tools and scripts of the field know. Off without this table. \
            It has no passwords: addresses decide who may do what. What it shows and what it cannot is told \
            in [compat.md](compat.md).",
    keys: &[
        Key {
            name: "listen",
            kind: "address and port",
            default: Some("\"127.0.0.1:4028\""),
            range: "",
            about: "Where to listen. On another address than loopback `allow` is required.",
            example: "\"0.0.0.0:4028\"",
        },
        Key {
            name: "allow",
            kind: "list of texts",
            default: Some("this machine may read"),
            range: "`[GROUP:]ADDRESS[/BITS]`, at most 64",
            about: "Who may ask; the first entry that fits decides, and whoever fits none is hung up on. Group \
                    `R`, or none, may read; `W` may do everything; `groups` makes others. The end of an \
                    IPv4 address may be left out (`192.168/16`), an IPv6 address stands in brackets. With \
                    this list, this machine needs an entry too.",
            example: "[\"W:127.0.0.1\", \"192.168.1.0/24\"]",
        },
        Key {
            name: "groups",
            kind: "list of texts",
            default: Some("none"),
            range: "`LETTER:command:command:*`, at most 64; `*` is every command that changes nothing",
            about: "Further groups for `allow`.",
            example: "[\"P:pause:resume:*\"]",
        },
        Key {
            name: "description",
            kind: "text",
            default: Some("program and version"),
            range: "1 to 64 printable characters, without the names of other makes",
            about: "What is told as `Description` with every reply.",
            example: "\"rack 3, shelf 7\"",
        },
        Key {
            name: "multicast",
            kind: "true or false",
            default: Some("false"),
            range: "",
            about: "Answer multicast discovery (224.0.0.75, UDP port 4028) of those who may ask.",
            example: "true",
        },
    ],
};

const AXEOS: Section = Section {
    name: "axeos",
    heading: "[axeos]",
    about: "The web API of AxeOS, by which pyasic, asic-rs and the programs on them find this miner. Off \
            without this table. Its clients cannot log in: private addresses may read, and `write_from` \
            may change. What it shows and what it cannot is told in [compat.md](compat.md).",
    keys: &[
        Key {
            name: "listen",
            kind: "address and port",
            default: Some("\"127.0.0.1:80\""),
            range: "",
            about: "Where to listen. Those clients only ask port 80, for which the program needs a right of \
                    the system.",
            example: "\"0.0.0.0:80\"",
        },
        Key {
            name: "write_from",
            kind: "list of texts",
            default: Some("none"),
            range: "`ADDRESS[/BITS]`, at most 64",
            about: "Who may change pools, fans, clock and voltage, pause and restart. Anybody who can use \
                    such an address can.",
            example: "[\"192.168.1.5\"]",
        },
    ],
};

const MQTT: Section = Section {
    name: "mqtt",
    heading: "[mqtt]",
    about: "An MQTT broker that is told what the miner does, and Home Assistant with it. Off without this \
            table. Topics and commands are told in [automation.md](automation.md).",
    keys: &[
        Key {
            name: "url",
            kind: "text",
            default: None,
            range: "`mqtt://host:port`, or `mqtts://host:port` for TLS; without a port 1883 and 8883",
            about: "Where the broker is.",
            example: "\"mqtts://broker.lan\"",
        },
        Key {
            name: "user",
            kind: "text",
            default: Some("none"),
            range: "at most 256 printable characters",
            about: "User at the broker.",
            example: "\"rack-3-7\"",
        },
        Key {
            name: "password",
            kind: "text, or where the text is",
            default: Some("none"),
            range: "as a pool's",
            about: "Password at the broker. Without TLS it goes there in the clear.",
            example: "{ file = \"mqtt.secret\" }",
        },
        Key {
            name: "tls",
            kind: "table",
            default: Some("the authorities of this system"),
            range: "`{ ca = \"...\" }` or `{ fingerprint = \"...\" }`, as a pool's",
            about: "How the broker is known over TLS.",
            example: "{ ca = \"broker-ca.pem\" }",
        },
        Key {
            name: "prefix",
            kind: "text",
            default: Some("\"hashwright\""),
            range: "levels of a topic",
            about: "How all topics of this miner begin.",
            example: "\"farm/hall-2\"",
        },
        Key {
            name: "id",
            kind: "text",
            default: Some(
                "the agent's name; with the end of the hardware address, if it has no name of its own",
            ),
            range: "a level of a topic",
            about: "The level of the topics that tells this miner from others. No two miners at a broker may \
                    have the same.",
            example: "\"rack-3-7\"",
        },
        Key {
            name: "discovery",
            kind: "text",
            default: Some("\"homeassistant\""),
            range: "levels of a topic, or `off`",
            about: "Where Home Assistant looks for devices.",
            example: "\"off\"",
        },
        Key {
            name: "role",
            kind: "text",
            default: Some("\"read\""),
            range: "`read`, `operate` or `tune`",
            about: "What messages may ask for: `read` nothing; `operate` pause, resume, restart, cooling, \
                    clearing of faults, the order of the pools, price and surplus of power, and curtailment; \
                    `tune` also what the boards are tuned for. Whoever may publish at the broker can.",
            example: "\"operate\"",
        },
        Key {
            name: "interval_s",
            kind: "whole number",
            default: Some("10"),
            range: "1 to 3600",
            about: "Shortest time between two tellings of the state, seconds. What has not changed is not told \
                    again.",
            example: "30",
        },
    ],
};

const WEBHOOK: Section = Section {
    name: "webhook",
    heading: "[[webhook]]",
    about: "A receiver that is told of events by HTTP. At most 16; none without this table. What is sent is \
            told in [automation.md](automation.md).",
    keys: &[
        Key {
            name: "url",
            kind: "text",
            default: None,
            range: "`https://` or `http://`; redirects are not followed",
            about: "Where events are sent by POST. The path is taken for a secret and shown nowhere.",
            example: "\"https://chat.example/hooks/xyz\"",
        },
        Key {
            name: "severity",
            kind: "text",
            default: Some("\"warning\""),
            range: "`info`, `warning`, `fault`, `critical`",
            about: "The least severity that is sent.",
            example: "\"fault\"",
        },
        Key {
            name: "codes",
            kind: "list of texts",
            default: Some("all"),
            range: "codes of events, at most 64; `fan-*` means all that begin so",
            about: "Only events with these codes are sent.",
            example: "[\"fan-*\", \"payout-changed\"]",
        },
        Key {
            name: "secret",
            kind: "text, or where the text is",
            default: Some("none"),
            range: "as a pool's password",
            about: "What requests are signed with, so that the receiver knows that they are ours; in the form \
                    `whsec_...` of Standard Webhooks, or any text.",
            example: "{ file = \"webhook.secret\" }",
        },
        Key {
            name: "tls",
            kind: "table",
            default: Some("the authorities of this system"),
            range: "`{ ca = \"...\" }` or `{ fingerprint = \"...\" }`, as a pool's",
            about: "How the receiver is known over TLS.",
            example: "{ ca = \"own-ca.pem\" }",
        },
    ],
};

const MDNS: Section = Section {
    name: "mdns",
    heading: "[mdns]",
    about: "Announcement of this miner on its network, by which `hashwright fleet scan` finds it. May be left \
            out.",
    keys: &[Key {
        name: "enabled",
        kind: "true or false",
        default: Some("true with this table; without it, if other machines can reach the API"),
        range: "",
        about: "Whether the agent announces itself by mDNS as `_hashwright._tcp`.",
        example: "false",
    }],
};

/// Names of the keys of the table called `section`; the file itself is called `""`.
pub(super) fn keys_of(section: &str) -> Box<dyn Iterator<Item = &'static str>> {
    if section.is_empty() {
        let top = SECTIONS.iter().filter(|section| is_top(section));
        return Box::new(top.map(|section| section.name));
    }
    let keys = SECTIONS.iter().find(|known| known.name == section);
    Box::new(
        keys.into_iter()
            .flat_map(|section| section.keys)
            .map(|key| key.name),
    )
}

/// The keys of the table called `section`, in the order in which people write them.
pub(crate) fn keys(section: &str) -> &'static [Key] {
    let known = SECTIONS.iter().find(|known| known.name == section);
    known.map_or(&[], |section| section.keys)
}

/// The table that a key belongs to, as written, if there is one.
pub(super) fn home_of(key: &str) -> Option<&'static str> {
    let has = |section: &&Section| section.keys.iter().any(|known| known.name == key);
    SECTIONS.iter().find(has).map(|section| section.heading)
}

/// The example of a key.
pub(super) fn example(section: &str, key: &str) -> &'static str {
    SECTIONS
        .iter()
        .filter(|known| known.name == section)
        .flat_map(|known| known.keys)
        .find(|known| known.name == key)
        .map_or("...", |known| known.example)
}

/// All tables as Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut out = String::new();
    for section in SECTIONS {
        // Writing to a String cannot fail.
        let _ = write!(out, "## `{}`\n\n{}\n", section.heading, section.about);
        for key in section.keys {
            let default = match key.default {
                None => "**required**".to_owned(),
                Some(default) if default.starts_with('"') => format!("default `{default}`"),
                Some(default) => format!("default: {default}"),
            };
            let _ = write!(
                out,
                "\n### `{}`\n\n{}, {default}.",
                key.name,
                capital(key.kind)
            );
            if !key.range.is_empty() {
                let _ = write!(out, " Allowed: {}.", key.range);
            }
            let _ = write!(out, "\n\n{}\n\n", key.about);
            let _ = write!(out, "```toml\n{} = {}\n```\n", key.name, key.example);
        }
        out.push('\n');
    }
    out
}

/// The faults of simulated boards as a Markdown table.
#[must_use]
pub fn faults() -> String {
    let mut out = String::from("| fault | what happens |\n|---|---|\n");
    for (name, argument, about) in board_simulator::board::Fault::NAMES {
        let _ = writeln!(out, "| `{name}{argument}` | {about} |");
    }
    out
}

fn is_top(section: &Section) -> bool {
    !section.name.contains('.')
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}
