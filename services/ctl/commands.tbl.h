/* The commands of guildhallctl, one row each, in the order in which --help lists them.
 *
 *  COMMAND(function, "words", "arguments", "one line", "what its --help adds")
 */
COMMAND(migrate_up_command, "migrate up", "[--dir FOLDER]", "bring the database's schema to what this version needs",
	"  --dir FOLDER   the migration files; else GUILDHALL_MIGRATIONS, the installed ones, ./migrations\n"
	"\n"
	"Safe to run twice, and while an older version serves. Needs GUILDHALL_DB_URL.\n")
COMMAND(migrate_down_command, "migrate down", "[N] [--dir FOLDER]", "take back the last N schema versions (default 1)",
	"  N              how many; data in what they created is lost\n"
	"  --dir FOLDER   as for migrate up\n")
COMMAND(migrate_status_command, "migrate status", "[--dir FOLDER]", "list schema versions and whether they are applied",
	"  --dir FOLDER   as for migrate up\n"
	"\n"
	"Exit code 0 when everything is applied, 1 when something is pending, changed or unknown.\n")
COMMAND(log_restored_command, "log restored", "", "say that the database was put back from a backup: its log begins a new generation",
	"Clients keep positions in the log. After a backup was restored the same numbers stand for other events, so nobody may go on from\n"
	"them: everything that was handed out before is void, and clients are told to fetch anew. A failover to a standby needs no\n"
	"command, PostgreSQL's new timeline tells.\n"
	"\n"
	"Run it on the restored database before any Guildhall process can reach it (docs/guildhallctl.md). Ends all other sessions of\n"
	"the same role in the database. Needs GUILDHALL_DB_URL.\n")
COMMAND(user_create_command, "user create", "NAME [--password-stdin | --password-file FILE] [--email ADDRESS]", "make an account",
	"  NAME                   2 to 32 characters\n"
	"  --password-stdin       read the password (10 to 128 characters) from stdin\n"
	"  --password-file FILE   read it from a file\n"
	"  --email ADDRESS        e-mail address of the account\n"
	"\n"
	"Without either password option it is asked for on the terminal. A password is never an argument: others could read it\n"
	"in the list of processes.\n")
COMMAND(user_disable_command, "user disable", "NAME [--enable]", "lock an account out, or let it in again",
	"  --enable   let it in again\n"
	"\n"
	"Every session and token of the account ends at once; its sockets are closed.\n")
COMMAND(token_create_command, "token create", "--user NAME [--label TEXT] [--days N] [--dialect house|crust]", "make a token for an account",
	"  --user NAME       whose token it is\n"
	"  --label TEXT      what it is for; shown where sessions are listed\n"
	"  --days N          its life, 0 to 3650; 0 and the default for house: without an end; for crust the default is\n"
	"                    GUILDHALL_CRUST_SESSION_DAYS\n"
	"  --dialect NAME    the client language it is for, house (default) or crust: crust's clients want long tokens\n"
	"\n"
	"The token is written to stdout, alone on its line, and is not shown again.\n")
COMMAND(team_create_command, "team create", "NAME --owner USER [--joining open|invite] [--slug WORD] [--template crust]", "make a team",
	"  NAME               1 to 64 characters\n"
	"  --owner USER       name of the account that owns it\n"
	"  --joining open     anyone may join; default: invite, with --template crust: open\n"
	"  --slug WORD        what settings may name it by: 1 to 32 of a-z, 0-9 and -\n"
	"  --template crust   for clients of crust: everybody makes channels and pins, a role admins, the channels General\n"
	"                     and Random\n")
COMMAND(announce_command, "announce", "--title TEXT --text TEXT [--until TIME]", "tell everybody who is signed in",
	"  --title TEXT   1 to 256 characters\n"
	"  --text TEXT    1 to 4000 characters, Markdown\n"
	"  --until TIME   when clients may stop showing it, e.g. 2026-12-24T18:00:00Z; default: no end\n"
	"\n"
	"Everybody who watches the topic global gets the event operator_announcement at once.\n")
COMMAND(audit_verify_command, "audit verify", "--team ID [--after NUMBER:HASH]", "check that a team's audit log is what it was",
	"  --team ID             the team\n"
	"  --after NUMBER:HASH   begin behind this entry, as printed by an earlier run. Who can write to the database could make\n"
	"                        a whole new chain: one that fits a hash kept elsewhere is the old one\n"
	"\n"
	"Asks moderation (GUILDHALL_RPC_MODERATION). Exit code 1 when an entry was altered, taken out or put in; the first such\n"
	"entry is named.\n")
COMMAND(watch_command, "watch", "[--url URL] [--token T | --token-file F] [--resume] [--count N] [--raw] TOPIC...", "show events as a client gets them",
	"  TOPIC            channel:ID, team:ID, user:ID or global; separated by blanks or commas\n"
	"  --url URL        default: ws:// GUILDHALL_WS_LISTEN /v1/ws\n"
	"  --token T        the token; better: --token-file, or GUILDHALL_TOKEN, which nobody sees in the list of processes\n"
	"  --token-file F   read it from a file\n"
	"  --resume         after a lost connection go on where it broke off, and say so when that is not possible\n"
	"  --count N        end after N events\n"
	"  --raw            frames as they come, one a line\n"
	"\n"
	"Comes back after a lost connection by itself, with growing pauses. Exit code 1 when the server refuses the token, every\n"
	"topic, or the connection; 0 after N events or Ctrl-C.\n")
COMMAND(tail_command, "tail", "STREAM [--from SEQ] [--count N]", "show a stream of the event log, old events and new ones",
	"  STREAM       team:ID, conversation:ID, user:ID, user:NAME or global\n"
	"  --from SEQ   begin behind this number; 0: the oldest event the log still has. Default: only what comes from now on\n"
	"  --count N    end after N events\n"
	"\n"
	"Asks messaging (GUILDHALL_RPC_MESSAGING). Shows what every client together may see: treat it like the database.\n")
COMMAND(search_status_command, "search status", "", "show how far the search index is",
	"Exit code 0 when it is complete, 1 while it is being made. Needs GUILDHALL_DB_URL.\n")
COMMAND(search_rebuild_command, "search rebuild", "", "have the search index made anew",
	"Messaging empties it and reads all messages again; until that is done searches find what has been read so far and say\n"
	"that they are not complete. Needed only when the index is suspected: another GUILDHALL_SEARCH_CONFIG does it by itself.\n")
COMMAND(doctor_command, "doctor", "[--ops HOST:PORT,...]", "look at everything this installation needs",
	"  --ops LIST   ops listeners of further or moved processes; default: 127.0.0.1:9101 to 9105, as far as they answer\n"
	"\n"
	"Looks at the database (version, schema, leaves of the log, node leases, old transactions, standby) and at every process.\n"
	"Exit code 0 when nothing is broken. A note (no synchronous standby, say) is not broken.\n")
