/* The words that every channel has: what they post, as the one who says them. Order is that of the list that clients get.
 * text: what is posted, behind the input and a blank when there is input; NULL: the input alone, and nothing without one.
 *
 *      word         kind          text                    description */
COMMAND("me",        MESSAGE_ME,   NULL,                   "Illeism")
COMMAND("shrug",     MESSAGE_TEXT, "¯\\\\_(ツ)_/¯",        "It does exactly what it says on the tin") /* one of the two is Markdown's */
COMMAND("tableflip", MESSAGE_TEXT, "(╯°□°）╯︵ ┻━┻",      "Flatten a table in anger")
COMMAND("unflip",    MESSAGE_TEXT, "┬─┬ ノ( ゜-゜ノ)",     "Put the table back from a flip")
