//! The texts of the form, in each language.

use super::form::Language;

/// One text in each language.
pub(super) struct Words {
    en: &'static str,
    zh: &'static str,
}

impl Words {
    /// The text in `language`.
    pub(super) fn of(&self, language: Language) -> &'static str {
        match language {
            Language::En => self.en,
            Language::Zh => self.zh,
        }
    }
}

/// Declares the texts: name, English, Chinese.
macro_rules! words {
    ($($name:ident = $en:literal, $zh:literal;)*) => {
        $(pub(super) const $name: Words = Words { en: $en, zh: $zh };)*
    };
}

words! {
    TITLE = "IPsec tunnels to the data centre", "到数据中心的 IPsec 隧道";
    FOR = "Form for the network team of the data centre", "数据中心网络团队对接表";
    ANGLE = "What stands in angle brackets is still to be filled in.",
        "尖括号中的内容需要双方补充。";

    ADDRESSES = "Addresses", "地址";
    OUR_ADDRESS = "Our public address", "我方公网地址";
    OUR_IDENTITY = "Our IKE identity (IPv4/IPv6 address)", "我方 IKE 标识(地址类型)";
    YOUR_ADDRESS = "Your public address, tunnel", "贵方公网地址,隧道";
    ACTIVE = "active", "主用";
    STANDBY = "standby", "备用";
    YOUR_IDENTITY = "Your IKE identity", "贵方 IKE 标识";
    SAME_AS_ADDRESS = "the public address of the tunnel", "与该隧道的公网地址相同";

    PHASE_1 = "IKE SA (phase 1)", "IKE SA(第一阶段)";
    VERSION = "Version", "版本";
    ONLY_V2 = "IKEv2 only", "仅 IKEv2";
    INITIATOR = "Who initiates", "发起方";
    WE_DO = "we do; your end answers", "由我方发起,贵方响应";
    ENCRYPTION = "Encryption", "加密算法";
    INTEGRITY = "Integrity", "完整性算法";
    PRF = "PRF", "伪随机函数 (PRF)";
    GROUP = "DH group", "DH 组";
    LIFE = "Lifetime", "生存时间";
    SECONDS = "seconds, no limit by volume", "秒,不按流量限制";
    AUTHENTICATION = "Authentication", "认证方式";
    PSK = "pre-shared key, another one for each tunnel; by telephone or in person, never by e-mail",
        "预共享密钥,每条隧道各一个;通过电话或当面交换,不得使用邮件";
    CERTIFICATE = "certificates; each end sends the other its CA's certificate",
        "证书;双方互相提供各自 CA 的证书";
    DPD = "Dead peer detection", "对等体存活检测 (DPD)";
    DPD_EVERY = "seconds, periodic; three tries", "秒,周期发送;重试三次";
    NAT = "NAT traversal", "NAT 穿越";
    NAT_ON = "on (UDP 4500)", "启用 (UDP 4500)";

    PHASE_2 = "CHILD SA (phase 2)", "IPsec SA(第二阶段)";
    PROTOCOL = "Protocol", "协议";
    ESP = "ESP, tunnel mode", "ESP,隧道模式";
    PFS = "PFS", "完善的前向安全 (PFS)";
    YOUR_SELECTOR = "Traffic selector, your end", "感兴趣流,贵方";
    OUR_SELECTOR = "Traffic selector, our end", "感兴趣流,我方";
    MTU = "Tunnel MTU and TCP MSS", "隧道 MTU 与 TCP MSS";

    NETWORKS = "Networks", "网段";
    YOURS = "Yours", "贵方网段";
    ROUTES = "Ours: route these into tunnel 1, and into tunnel 2 with a worse preference",
        "我方网段:路由指向隧道 1,并以较低优先级指向隧道 2";

    PERMIT = "To permit", "需要放通";
    PERMIT_IKE = "UDP 500, UDP 4500 and ESP (IP protocol 50), between the public addresses",
        "公网地址之间:UDP 500、UDP 4500、ESP(IP 协议 50)";
    PERMIT_NETWORKS = "between the networks above what you allow, with ICMP; no NAT for it",
        "上述网段之间按贵方策略放通(包含 ICMP),且不做 NAT";
    FRAGMENTS = "ICMP \"fragmentation needed\", so that path MTU discovery works",
        "放通 ICMP“需要分片”报文,以保证路径 MTU 发现可用";

    DEVICE = "On the device", "设备配置参考";
    NOT_TRIED = "After the manual, and not tried on a device: compare it with yours.",
        "依据厂商手册整理,未在设备上验证,请与贵方设备的手册核对。";
    TRIED = "Tried with strongSwan 5.9 at both ends.", "已用 strongSwan 5.9 在两端验证。";
}
