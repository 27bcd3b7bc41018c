// Package capture records the packets of a simulated network as a pcapng file, which Wireshark and
// tshark dissect like one that was taken on real machines.
//
// A [Writer] is the file. It has one interface per host, which [Writer.Interface] adds, and a
// [Packet] says where on it, when, and between whom the TCP segment or UDP datagram was seen. IPv4,
// TCP and UDP headers, options and checksums are whole, so that tools can be told to verify them. A
// packet's Note becomes its comment: "lost", "cut by partition(edge-1, client-*)".
//
// Start at [New]; the example shows a capture.
//
// # Reading a capture
//
// Host names come with the file (tshark -N n), and frame.interface_name and frame.packet_flags_direction
// tell records apart. A packet that both its sender and its receiver recorded is there twice, which
// TCP analysis takes for a retransmission. Look at what one host saw,
//
//	tshark -r net.pcapng -Y 'frame.interface_name == "client-1"' -w client-1.pcapng
//
// or at everything that was sent, arrived or not:
//
//	tshark -r net.pcapng -Y 'frame.packet_flags_direction == 2' -w sent.pcapng
//
// # Determinism
//
// The file is a function of the calls: times are an epoch plus virtual time, IP identifications are
// counted, and nothing of the machine that runs the simulation gets in.
//
// # Limitations
//
// IPv4 only, without IP options, fragments or ICMP. The link type is raw IP (LINKTYPE_RAW), not
// Ethernet: a simulated network has no frames, and made-up MAC addresses and padding would be noise
// in every dissection. What Ethernet would tell, the direction, is an option of each packet.
package capture
