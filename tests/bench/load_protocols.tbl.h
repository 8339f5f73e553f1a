/*
 * What the load client can speak inside a websocket, each in a file of its own: load_<name>.c. Sorted; no order is relied on.
 *       name                                                                                             */
PROTOCOL(house)    /* ours, and a server on `ws` that speaks as much of it as is needed here              */
PROTOCOL(mqtt)     /* MQTT 3.1.1, QoS 0, one packet in a binary frame: mosquitto                          */
PROTOCOL(nchan)    /* messages as they are, subscribed by the path: nginx with nchan                      */
PROTOCOL(socketio) /* engine.io 4 without polling, and socket.io 5 in it                                  */
PROTOCOL(xmpp)     /* RFC 7395, SASL ANONYMOUS, a room of XEP-0045: ejabberd                              */
