namespace LocalLlm.Samples.Rag.Agreement;

/// <summary>Recognizes Chinese names of persons, which nothing marks as names, by their surname: nearly everybody in China has one of the
/// surnames below.</summary>
internal static class ChineseNames
{
    private static readonly HashSet<char> s_surnames =
    [
        .. "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林罗高郑梁谢宋唐许邓韩冯曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢姚沈钟姜崔谭陆范汪廖石金韦贾夏傅方邹熊白孟秦邱侯江尹薛闫段雷龙黎史陶贺毛郝顾龚邵万覃武钱戴严莫孔向汤温康施文牛樊葛邢安齐易乔伍庞颜倪庄聂章鲁岳翟殷詹申欧耿关兰焦俞左柳甘祝包宁尚符舒阮柯纪梅童凌毕单季裴霍涂成苗谷曲盛冉翁蓝路游靳欧阳诸葛司马上官",
    ];

    public static bool BeginsWithSurname(string text) => text.Length > 0 && s_surnames.Contains(text[0]);
}
